"""The process that stands over one command of a task, and ends all that came of it.

A worker runs several commands at once, in threads. What a command leaves behind (forked twice, in a session of its own)
comes to the nearest ancestor that asked for orphans; were that the worker, nobody could tell whose it was. So each
command has a warden, which asks for them: everything below it came of its command and of no other.

    running --exit--> draining --nothing left--> told
       |                  `--DRAIN_S--> TERM to what is left, wait, KILL
       `--stop or timeout--> TERM to all, wait, KILL

To stop is the end of the pipe `control`: the worker closes it, or dies in whatever way. The timeout is the warden's own
to keep, so that it holds also while the worker is frozen. How it ended is told in one line on the pipe `status`.

It has none of jobctl's code but `process_tree`, and no site packages: it costs 36 ms of CPU time and 10 MB.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from jobctl.runtime import process_tree

DRAIN_S = 1.0
KILL_S = 1.0


class Warden:
    def __init__(self, control: int, status: int, until: float, grace_s: float) -> None:
        self._control = control
        self._status_pipe = status
        self._until = until
        self._grace_s = grace_s
        self._pid = 0
        self._status: int | None = None
        self._memory_bytes = 0
        self._left_behind = 0
        self._not_ended = 0
        self._why = "ended"

    def run(self, words: Sequence[str]) -> None:
        wake, wake_in = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(wake_in, False)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._heed)
        process_tree.adopt_orphans()
        self._start(words)
        self._watch(wake)
        self._end_what_is_left()
        self._tell()

    def _heed(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:  # somebody ends the warden: that means its command
            self._why = "stopped"

    def _start(self, words: Sequence[str]) -> None:
        me = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.set_inheritable(self._control, False)
                os.set_inheritable(self._status_pipe, False)
                os.setsid()
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored is inherited
                process_tree.begin_as_command(me)
                os.execv(words[0], list(words))  # noqa: S606 - a shell would read what is none of its words
            except OSError as error:
                os.write(self._status_pipe, f"unstarted {error.errno}\n".encode())
            finally:
                os._exit(127)
        with suppress(OSError):
            os.write(self._status_pipe, f"started {self._pid}\n".encode())
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):  # the command's alone, or nobody would see their end
            os.dup2(nothing, descriptor)

    def _watch(self, wake: int) -> None:
        """Until the command itself has ended, by itself or because it was asked to and then made to."""
        kill_at = 0.0
        while True:
            self._reap()
            if self._status is not None:
                return
            now = time.monotonic()
            if self._why == "ended" and now >= self._until:
                self._why = "timeout"
            if self._why != "ended" and not kill_at:
                kill_at = now + self._grace_s
                self._terminate()
            if kill_at and now >= kill_at:
                self._kill()
                return
            watched = [wake] if kill_at else [wake, self._control]
            ready, _, _ = select.select(watched, [], [], max(0.0, (kill_at or self._until) - now))
            if wake in ready:
                with suppress(BlockingIOError):
                    os.read(wake, 4_096)
            if self._control in ready:
                self._why = "stopped"

    def _end_what_is_left(self) -> None:
        """After the command's own end. What was asked to end already has its time; else it gets a moment first."""
        wait_s = DRAIN_S if self._why == "ended" else self._grace_s
        if not self._is_alone(wait_s):
            left = process_tree.below(os.getpid())
            self._left_behind = len(left)
            if self._why == "ended":
                self._terminate()
                if self._is_alone(self._grace_s):
                    return
            self._kill()

    def _is_alone(self, within_s: float) -> bool:
        until = time.monotonic() + within_s
        while True:
            self._reap()
            if not (process_tree.has_children() and process_tree.below(os.getpid())):
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            ready, _, _ = select.select([self._control] if self._why == "ended" else [], [], [], min(0.02, left))
            if ready:  # the worker has no time to wait
                return False

    def _terminate(self) -> None:
        found = process_tree.below(os.getpid())
        process_tree.send(found, signal.SIGTERM)
        process_tree.send(found, signal.SIGCONT)  # one that is stopped takes it only when it goes on
        if not found and self._status is None:  # no /proc: its process group is all there is
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGTERM)

    def _kill(self) -> None:
        if self._status is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        self._not_ended = len(process_tree.kill_all(within_s=KILL_S, reap=self._reap))
        until = time.monotonic() + KILL_S
        while self._status is None and time.monotonic() < until:
            self._reap()
            time.sleep(process_tree.PAUSE_S)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self._status, self._memory_bytes = status, usage.ru_maxrss * 1024

    def _tell(self) -> None:
        status = signal.SIGKILL if self._status is None else self._status
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = 0 if number else os.WEXITSTATUS(status)
        facts = (self._why, code, number, self._memory_bytes, self._left_behind, self._not_ended)
        with suppress(OSError):  # the worker is gone, and nobody needs to know
            os.write(self._status_pipe, f"ended {' '.join(map(str, facts))}\n".encode())


def main() -> None:
    control, status, until, grace_s, *words = sys.argv[1:]
    Warden(int(control), int(status), float(until), float(grace_s)).run(words)
