"""Start a command, listen to it, and end it with everything that came of it."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jobctl.errors import CommandFailed
from jobctl.jobs.wrapped.output import Output
from jobctl.runtime import process_tree
from jobctl.runtime.stop import Stop

READ_BYTES = 65_536
LOOK_EACH_S = 0.1
DRAIN_S = 0.5  # what a child that was left behind may still say
NOT_EXECUTABLE = 126
NOT_FOUND = 127


@dataclass(frozen=True, slots=True)
class Ended:
    """`exit_code` is the command's own, or 128 + n when signal n ended it."""

    exit_code: int
    ran_s: float
    left_behind: int = 0

    @property
    def in_words(self) -> str:
        if self.exit_code > 128:
            try:
                return f"ended by {signal.Signals(self.exit_code - 128).name}"
            except ValueError:
                pass
        return f"exit code {self.exit_code}"


def execute(
    command: Sequence[str],
    environment: Mapping[str, str],
    output: Output,
    stop: Stop,
    *,
    first_signal: Callable[[], int],
    term_wait_s: float,
    leave_children: bool,
) -> Ended:
    """Run `command` to its end. Raises the reason of `stop`, after the whole tree is ended, and CommandFailed (126,
    127) for a command that cannot be started."""
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
    except FileNotFoundError:
        raise CommandFailed(
            f"{command[0]!r} was not found",
            command_exit_code=NOT_FOUND,
            hint="give its whole path",
        ) from None
    except OSError as error:
        raise CommandFailed(
            f"{command[0]!r} cannot be executed: {error.strerror}", command_exit_code=NOT_EXECUTABLE
        ) from None
    try:
        _listen(process, output, stop)
    finally:
        is_over = process.poll() is not None
        if not is_over:
            process_tree.end_descendants(first=first_signal(), wait_s=term_wait_s)
        status = process.wait()
    left_behind = 0
    if stop.reason is not None or not leave_children:
        left_behind = process_tree.end_descendants(first=signal.SIGTERM, wait_s=term_wait_s)
    _drain(process, output)
    output.finish()
    stop.check()
    return Ended(128 - status if status < 0 else status, time.monotonic() - started, left_behind)


def _drain(process: "subprocess.Popen[bytes]", output: Output) -> None:
    """What still lies in the pipes, which others may hold open."""
    for number, stream in ((1, process.stdout), (2, process.stderr)):
        assert stream is not None
        try:
            while data := os.read(stream.fileno(), READ_BYTES):
                output.take(data, number)
        except BlockingIOError:
            pass
        stream.close()


def _listen(process: "subprocess.Popen[bytes]", output: Output, stop: Stop) -> None:
    """Until the command has ended and its streams are closed or quiet, or the run must stop."""
    assert process.stdout is not None and process.stderr is not None
    with selectors.DefaultSelector() as selector:
        for number, stream in ((1, process.stdout), (2, process.stderr)):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, number)
        over_at: float | None = None
        while selector.get_map():
            ready = selector.select(LOOK_EACH_S)
            for key, _ in ready:
                data = os.read(key.fd, READ_BYTES)
                if data:
                    output.take(data, key.data)
                else:
                    selector.unregister(key.fileobj)
            if stop.reason is not None:
                return
            if process.poll() is not None:
                over_at = over_at or time.monotonic()
                if time.monotonic() - over_at > DRAIN_S:
                    return  # a child holds the streams open
        while process.poll() is None and stop.reason is None:  # it closed its streams and goes on
            stop.event.wait(LOOK_EACH_S)
