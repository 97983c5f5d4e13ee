"""One attempt of a command: started in a session of its own, read, and ended with everything that came of it.

    running --exit--> draining --nothing left--> done
       |                  `--DRAIN_S--> TERM to what was left behind, wait, KILL    (with leave_children: left alone)
       `--asked to stop--> the signal to all, wait, KILL

`asked to stop` is max runtime, a signal or a lost lock (`runtime.stop`); a second request means KILL now. While it
waits this process does nothing: it wakes for output, for the death of a child and for requests.

A command that ended while something still holds its pipe is not waited for: after DRAIN_S what is left in the tree is
ended, and if the holder is no process of ours its further output is not read.
"""

import os
import select
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from jobctl.errors import CommandFailed, Interrupted
from jobctl.runtime import process_tree
from jobctl.runtime.stop import Stop

DRAIN_S = 1.0
KILL_S = 1.0  # what is not dead by then is left to the supervisor, which has the last word
SAME_REQUEST_S = 0.5  # a signal to a whole control group reaches worker and supervisor, which passes it on
NOT_FOUND = 127
NOT_EXECUTABLE = 126
PIPE_READ = 1 << 16


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended. `left_behind`: processes that were still there when the command itself had ended."""

    exit_code: int
    signal_number: int | None
    ran_s: float
    peak_memory_bytes: int
    left_behind: int
    not_ended: int

    @property
    def signal_name(self) -> str | None:
        if self.signal_number is None:
            return None
        with suppress(ValueError):
            return signal.Signals(self.signal_number).name
        return f"signal {self.signal_number}"


class Child:
    """Use `run` once. Must be called in the main thread, which is where signals are told."""

    def __init__(
        self, stop: Stop, take: Callable[[int, bytes], None], *, term_wait_s: float, leave_children: bool, merged: bool
    ) -> None:
        self._stop = stop
        self._take = take
        self._term_wait_s = term_wait_s
        self._leaves = leave_children
        self._merged = merged
        self._pid = 0
        self._status: int | None = None
        self._peak_memory_bytes = 0
        self._pipes: dict[int, int] = {}
        self._steps: list[tuple[float, Callable[[], None]]] = []
        self._requests: list[float] = []
        self._wake_lock = threading.Lock()
        self._wake_in: int | None = None
        self._is_stopping = False
        self._is_draining = False
        self._is_over = False
        self._left_behind = 0
        self._not_ended = 0

    def run(self, words: Sequence[str], environment: Mapping[str, str]) -> Ended:
        """Start the command and wait for its end. Raises CommandFailed when it cannot be started."""
        wake_out, wake_in = os.pipe()
        os.set_blocking(wake_in, False)
        os.set_blocking(wake_out, False)
        old_wakeup = signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        old_handler = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._wake_in = wake_in
        process_tree.adopt_orphans()
        started = time.monotonic()
        try:
            process = self._start(words, environment)
            with self._stop.telling(self._request):
                self._watch(wake_out)
            process.returncode = 0  # it is taken in here and not by Popen
        finally:
            signal.signal(signal.SIGCHLD, old_handler)
            signal.set_wakeup_fd(old_wakeup)
            with self._wake_lock:
                self._wake_in = None
                for descriptor in (wake_out, wake_in, *self._pipes):
                    os.close(descriptor)
        assert self._status is not None
        number = os.WTERMSIG(self._status) if os.WIFSIGNALED(self._status) else None
        return Ended(
            exit_code=128 + number if number is not None else os.WEXITSTATUS(self._status),
            signal_number=number,
            ran_s=time.monotonic() - started,
            peak_memory_bytes=self._peak_memory_bytes,
            left_behind=self._left_behind,
            not_ended=self._not_ended,
        )

    def _start(self, words: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        me = os.getpid()
        out, err = self._new_pipe(1), (None if self._merged else self._new_pipe(2))
        try:
            with warnings.catch_warnings():
                # Python warns of forks beside threads; the child takes no lock that a thread of ours could hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                process = subprocess.Popen(
                    words,
                    env=environment,
                    stdout=out,
                    stderr=subprocess.STDOUT if err is None else err,
                    start_new_session=True,
                    preexec_fn=lambda: process_tree.begin_as_command(me),  # noqa: PLW1509 - see above
                )
        except FileNotFoundError as error:
            missing = error.filename if isinstance(error.filename, str) else words[0]
            raise CommandFailed(
                f"{missing!r} was not found",
                command_exit_code=NOT_FOUND,
                hint="give its whole path: cron's PATH is short",
            ) from error
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise CommandFailed(
                f"{words[0]!r} cannot be executed: {why}",
                command_exit_code=NOT_EXECUTABLE,
                hint="is it executable, with a #! line at its top? A line of shell needs: sh -c '...'",
            ) from error
        finally:
            for descriptor in (out, err):
                if descriptor is not None:
                    os.close(descriptor)
        self._pid = process.pid
        return process

    def _new_pipe(self, stream: int) -> int:
        """The end for the command; ours is noted."""
        ours, its = os.pipe()
        os.set_blocking(ours, False)
        self._pipes[ours] = stream
        return its

    def _watch(self, wake_out: int) -> None:
        while not self._is_over:
            self._reap()
            if self._status is not None and self._has_ended():
                return
            now = time.monotonic()
            timeout = max(0.0, self._steps[0][0] - now) if self._steps else None
            ready, _, _ = select.select([wake_out, *self._pipes], [], [], timeout)
            for descriptor in ready:
                if descriptor == wake_out:
                    with suppress(BlockingIOError):
                        os.read(wake_out, 4_096)
                else:
                    self._read(descriptor)
            self._heed_requests()
            while self._steps and time.monotonic() >= self._steps[0][0]:
                self._steps.pop(0)[1]()

    def _has_ended(self) -> bool:
        """After the command's own end: no process of its tree is left, and nothing to be read."""
        is_alone = not (process_tree.has_children() and process_tree.below(os.getpid()))
        if is_alone and not self._pipes:
            return True
        if not self._is_draining and (is_alone or not self._is_stopping):
            self._is_draining = True
            self._steps = [(time.monotonic() + DRAIN_S, self._end_what_is_left)]
        return False

    def _end_what_is_left(self) -> None:
        left = process_tree.below(os.getpid())
        self._left_behind = len(left)
        if self._leaves:
            process_tree.forget()
            self._is_over = True
        elif left:
            _terminate(left, signal.SIGTERM)
            self._steps = [(time.monotonic() + self._term_wait_s, self._kill)]
        else:  # somebody else holds the pipe
            self._is_over = True

    def _request(self) -> None:
        """Called in any thread."""
        with self._wake_lock, suppress(OSError):
            self._requests.append(time.monotonic())
            if self._wake_in is not None:
                os.write(self._wake_in, b"!")

    def _heed_requests(self) -> None:
        if not self._requests:
            return
        if not self._is_stopping:
            self._begin_to_stop()
        elif self._requests[-1] - self._requests[0] > SAME_REQUEST_S:
            self._steps = [(0.0, self._kill)]

    def _begin_to_stop(self) -> None:
        self._is_stopping = True
        now = time.monotonic()
        reason = self._stop.reason
        number = reason.signal_number if isinstance(reason, Interrupted) else signal.SIGTERM
        if number not in (signal.SIGINT, signal.SIGHUP):
            number = signal.SIGTERM
        self._steps = [(now + self._term_wait_s, self._kill)]
        if number != signal.SIGTERM:  # what a shell starts in the background ignores SIGINT
            self._steps.insert(0, (now + self._term_wait_s / 2, self._terminate))
        self._terminate(number)

    def _terminate(self, number: int = signal.SIGTERM) -> None:
        found = process_tree.below(os.getpid())
        if found:
            _terminate(found, number)
        elif self._status is None:  # where nothing can be found in /proc, the group is all there is
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, number)

    def _kill(self) -> None:
        if self._status is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        self._not_ended = len(process_tree.kill_all(within_s=KILL_S, reap=self._reap))
        until = time.monotonic() + KILL_S
        while self._status is None and time.monotonic() < until:
            self._reap()
            time.sleep(process_tree.PAUSE_S)
        if self._status is None:  # in a system call that cannot be interrupted, or another user's
            self._status = signal.SIGKILL
        for descriptor in list(self._pipes):
            self._read(descriptor)
        self._is_over = True

    def _reap(self) -> None:
        """Take in the dead: the command itself, and what came to us of its tree."""
        with suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self._status, self._peak_memory_bytes = status, usage.ru_maxrss * 1024

    def _read(self, descriptor: int) -> None:
        """What is there, up to a bound, so that requests are heeded however much a command prints."""
        for _ in range(16):
            try:
                chunk = os.read(descriptor, PIPE_READ)
            except BlockingIOError:
                return
            if not chunk:
                del self._pipes[descriptor]
                os.close(descriptor)
                return
            self._take(self._pipes[descriptor], chunk)


def _terminate(processes: Sequence[process_tree.Process], number: int) -> None:
    process_tree.send(processes, number)
    process_tree.send(processes, signal.SIGCONT)  # one that is stopped takes it only when it goes on
