"""A command run from a thread, with everything that comes of it below a warden of its own.

What it prints is read as it comes and the end of it kept; a command that prints without end takes no memory. What it is
given to read is written as it takes it, and dropped when it does not want it.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

TICK_S: Final = 0.2
ANSWER_S: Final = 5.0  # beyond all its waits, until a warden that says nothing is given up
CHUNK: Final = 1 << 16
_ROOT: Final = Path(__file__).parents[3]
_CODE: Final = "import sys; sys.path.insert(0, sys.argv.pop(1)); from jobctl.jobs.work.warden import main; main()"


class Ended(NamedTuple):
    """`why`: it ended by itself, at its timeout, or being told to. `signal_number` is 0 where none ended it."""

    why: Literal["ended", "timeout", "stopped"]
    exit_code: int
    signal_number: int
    memory_bytes: int
    left_behind: int
    not_ended: int

    @property
    def signal_name(self) -> str:
        with suppress(ValueError):
            return signal.Signals(self.signal_number).name
        return f"signal {self.signal_number}"


class NotStarted(Exception):
    """`number` is the errno that the kernel gave for it."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


class WardenLost(Exception):
    """Its warden was killed: how the command would have ended is not known."""


def run_contained(
    words: Sequence[str],
    *,
    environment: Mapping[str, str],
    given: bytes,
    take: Callable[[int, bytes], None],
    timeout_s: float,
    grace_s: float,
    should_stop: Callable[[], bool],
) -> Ended:
    """Start `words`, give it `given` to read, pass on to `take` what it prints (1: stdout, 2: stderr), wait for its
    end. After the timeout, and soon after `should_stop`, its processes get SIGTERM, and `grace_s` later SIGKILL. Raises
    NotStarted, WardenLost, and OSError where no process can be made."""
    control, hold = os.pipe()
    answer, status = os.pipe()
    until = time.monotonic() + timeout_s  # the clock of the whole machine, so the warden's own start counts
    facts = map(str, (_ROOT, control, status, until, grace_s))
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CODE, *facts, *words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(control, status),
            start_new_session=True,
        )
    except BaseException:
        for descriptor in (hold, answer):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (control, status):
            os.close(descriptor)
    with process:
        attended = _Attended(process, hold, answer, given, take)
        try:
            told = attended.until_told(timeout_s + 3 * grace_s + ANSWER_S, should_stop)
        finally:
            attended.close()
    return told


class _Attended:
    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        hold: int,
        answer: int,
        given: bytes,
        take: Callable[[int, bytes], None],
    ) -> None:
        self._process = process
        self._hold: int | None = hold
        self._answer = answer
        self._rest = memoryview(given)
        self._take = take
        self._told = b""
        self._selector = selectors.DefaultSelector()
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._stdin = process.stdin
        for number, descriptor in ((0, answer), (1, process.stdout.fileno()), (2, process.stderr.fileno())):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ, number)
        os.set_blocking(self._stdin.fileno(), False)
        self._selector.register(self._stdin, selectors.EVENT_WRITE, None)
        if not given:
            self._end_of_input()

    def until_told(self, longest_s: float, should_stop: Callable[[], bool]) -> Ended:
        until = time.monotonic() + longest_s
        while self._answer in self._selector.get_map():
            if self._hold is not None and should_stop():
                self._stop()
            if time.monotonic() > until:
                break
            for key, _ in self._selector.select(TICK_S):
                if key.data is None:
                    self._give()
                else:
                    self._read(key.fd, key.data)
        for key in list(self._selector.get_map().values()):  # what is there; who else holds the pipe is not waited for
            if key.data is not None:
                self._read(key.fd, key.data)
        return self._understood()

    def close(self) -> None:
        self._stop()
        self._selector.close()
        os.close(self._answer)
        with suppress(BrokenPipeError):
            self._stdin.close()

    def _stop(self) -> None:
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None

    def _give(self) -> None:
        try:
            self._rest = self._rest[os.write(self._stdin.fileno(), self._rest[:CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._rest = self._rest[:0]
        if not self._rest:
            self._end_of_input()

    def _end_of_input(self) -> None:
        self._selector.unregister(self._stdin)
        self._stdin.close()

    def _read(self, descriptor: int, number: int) -> None:
        """What is there, up to a bound, so that the others get their turn."""
        for _ in range(16):
            try:
                chunk = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._selector.unregister(descriptor)
                return
            if number == 0:
                self._told += chunk
            else:
                self._take(number, chunk)

    def _understood(self) -> Ended:
        pid = 0
        for line in self._told.decode("ascii").splitlines():
            what, *words = line.split(" ")
            if what == "unstarted":
                raise NotStarted(int(words[0]))
            if what == "started":
                pid = int(words[0])
            if what == "ended":
                why: Literal["ended", "timeout", "stopped"]
                why = "timeout" if words[0] == "timeout" else "stopped" if words[0] == "stopped" else "ended"
                return Ended(why, *map(int, words[1:]))
        self._process.kill()
        if pid:  # the kernel has ended the command with its warden, but not what it started
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        raise WardenLost
