"""The entry of the command. A version is told before anything is imported; everything else goes to `cli`."""

import gc
import os
import sys


def main() -> None:
    _open_closed_streams()
    _lose_no_character()
    gc.set_threshold(100_000)  # a start makes many objects and hardly any garbage; looking for it took a tenth of it
    if sys.argv[1:] == ["--version"]:
        from jobctl.version import __version__

        print(f"jobctl {__version__}")
        return
    from jobctl.cli.entry import run

    run()


def _open_closed_streams() -> None:
    """A closed stream gives its number to the next file or socket that is opened, and leaves nothing to write to."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, mode))


def _lose_no_character() -> None:
    """In a locale that has no such character its number is printed, as on stderr, and not nothing at all."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
