"""The entry of the command. A version is told before anything is imported; everything else goes to `cli`."""

import sys


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        from jobctl.version import __version__

        print(f"jobctl {__version__}")
        return
    from jobctl.cli.app import run

    run()


if __name__ == "__main__":
    main()
