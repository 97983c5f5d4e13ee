"""The process that cron started. It forks the worker, keeps the time, passes signals on, and has the last word.

    cron -> supervisor --fork--> worker (its own session; connections and threads exist only here)
              | control pipe: stop requests ->        (its end of file tells the worker that the supervisor died)
              | report pipe:  <- the run's report     (its end of file without a report: the worker died silently)

The supervisor opens no connection while the worker lives, imports nothing of a job, and waits in one place, so that a
worker that was killed, ran out of memory or froze still ends as a true row and a true exit code. At max runtime the
worker is asked to stop at once (its statement is cancelled), then gets SIGTERM, then SIGKILL with its whole group.
"""

import gc
import os
import pickle
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from jobctl import log
from jobctl.errors import Interrupted, MaxRuntimeExceeded
from jobctl.runtime import process_tree
from jobctl.runtime.outcome import RunReport
from jobctl.runtime.stop import Stop

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TREE_S = 5.0
ASK_TO_STOP_NOW = b"T"
ASK_TO_STOP = {signal.SIGTERM: b"t", signal.SIGINT: b"i", signal.SIGHUP: b"h"}
SIGNAL_OF = {code[0]: number for number, code in ASK_TO_STOP.items()}


class Death(NamedTuple):
    """How a worker ended that left no report."""

    pid: int
    exit_status: int | None
    signal_number: int | None
    peak_memory_bytes: int
    asked_by_signal: int | None
    timed_out: bool
    ran_s: float


def supervise(
    work: Callable[[Stop], RunReport],
    after_death: Callable[[Death], RunReport],
    *,
    max_runtime_s: float,
    kill_grace_s: float,
    contains_children: bool = False,
) -> RunReport:
    """Run `work` in a worker process and give its report, or that of `after_death` if it ended without one.

    With `contains_children`, what a worker that died left running is ended, wherever it tried to go."""
    report_out, report_in = os.pipe()
    control_out, control_in = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    started = time.monotonic()
    if contains_children:
        process_tree.adopt_orphans()
    gc.freeze()  # what both have by now is no garbage; to look through it again would part the memory they share
    pid = os.fork()
    if pid == 0:
        os.close(report_out)
        os.close(control_in)
        _be_the_worker(work, report_in, control_out, max_runtime_s, started + max_runtime_s)
    os.close(report_in)
    os.close(control_out)
    watch = _Watch(pid, control_in, started, max_runtime_s, kill_grace_s)
    try:
        payload = watch.read_report(report_out)
    finally:
        os.close(report_out)
        status, usage = watch.reap()
        os.close(control_in)
        if contains_children:
            _end_tree()
    report = _parse(payload)
    if report is not None:
        return report
    return after_death(
        Death(
            pid=pid,
            exit_status=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            signal_number=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            peak_memory_bytes=usage.ru_maxrss * 1024,
            asked_by_signal=watch.asked_by_signal,
            timed_out=watch.timed_out,
            ran_s=time.monotonic() - started,
        )
    )


def _end_tree() -> None:
    """Whatever the worker's command still has running. Nothing, unless the worker was killed."""
    left = process_tree.kill_all(within_s=TREE_S, reap=process_tree.reap_all) if process_tree.has_begun() else ()
    if left:
        log.get_logger().error("processes_not_ended", pids=[process.pid for process in left])
    process_tree.adopt_orphans(on=False)


class _Watch:
    """The supervisor's wait: for the report, a signal, or the time to be up."""

    def __init__(self, pid: int, control_in: int, started: float, max_runtime_s: float, kill_grace_s: float) -> None:
        self.pid = pid
        self.asked_by_signal: int | None = None
        self.timed_out = False
        self._control_in = control_in
        self._grace_s = kill_grace_s
        # What to do when, in order: ask, TERM, KILL. Signals move the later steps nearer.
        deadline = started + max_runtime_s
        self._steps: list[tuple[float, Callable[[], None]]] = [
            (deadline, self._time_is_up),
            (deadline + kill_grace_s, self._terminate),
            (deadline + 1.5 * kill_grace_s, self._kill),
        ]
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_in, False)
        self._old_wakeup = signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, _only_wake) for number in _heeded()}

    def read_report(self, report_out: int) -> bytes:
        """All the worker writes until its end closes, minding clock and signals meanwhile."""
        chunks: list[bytes] = []
        while True:
            timeout = max(0.0, self._steps[0][0] - time.monotonic()) if self._steps else None
            ready, _, _ = select.select([report_out, self._wake_out], [], [], timeout)
            if report_out in ready:
                chunk = os.read(report_out, 1 << 16)
                if not chunk:
                    return b"".join(chunks)
                chunks.append(chunk)
            if self._wake_out in ready:
                for number in os.read(self._wake_out, 256):
                    self._on_signal(number)
            while self._steps and time.monotonic() >= self._steps[0][0]:
                self._steps.pop(0)[1]()

    def reap(self) -> tuple[int, Any]:
        """Wait for the worker itself; it has closed its pipe, so little is left, but a frozen one must still go."""
        until = time.monotonic() + self._grace_s
        pause_s = 0.0002
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > until:
                self._kill()
                until = float("inf")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.002)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # whatever the worker left behind in its session
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self._wake_out)
        os.close(self._wake_in)
        return status, usage

    def _on_signal(self, number: int) -> None:
        if number not in ASK_TO_STOP:
            return
        now = time.monotonic()
        if self.asked_by_signal is None:
            self.asked_by_signal = number
            self._ask(ASK_TO_STOP[signal.Signals(number)])
            self._steps = [(now + self._grace_s, self._terminate), (now + 1.5 * self._grace_s, self._kill)]
        else:
            # A second signal means now.
            self._ask(ASK_TO_STOP_NOW)
            self._steps = [(now + min(2.0, self._grace_s), self._kill)]

    def _time_is_up(self) -> None:
        self.timed_out = True
        self._ask(ASK_TO_STOP_NOW)

    def _ask(self, request: bytes) -> None:
        with suppress(OSError):
            os.write(self._control_in, request)

    def _terminate(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _be_the_worker(
    work: Callable[[Stop], RunReport], report_in: int, control_out: int, max_runtime_s: float, ends_at: float
) -> NoReturn:
    exit_status = 70  # an internal error: the supervisor turns a missing report into a row
    try:
        os.setsid()
        stop = Stop(ends_at)
        for number in _heeded():
            signal.signal(number, lambda n, _: _ask_twice(stop, n))
        threading.Thread(target=_listen, args=(control_out, stop, max_runtime_s), name="control", daemon=True).start()
        report = work(stop)
        payload = pickle.dumps(report)
        while payload:
            payload = payload[os.write(report_in, payload) :]
        exit_status = 0
    except BrokenPipeError:
        pass  # the supervisor died; the row is written, and there is nobody to tell
    except BaseException as error:  # noqa: BLE001 - the worker's last frame: whatever it is becomes an exit status
        # To the log alone, which redacts: a stack trace on stderr would be mailed, secrets and all.
        log.get_logger().error("worker_crashed", error=error)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(exit_status)


def _only_wake(_number: int, _frame: object) -> None:
    """The number arrives through the wake-up pipe; a handler must be there for it to be written."""


def _heeded() -> list[signal.Signals]:
    """The signals that end a run, but for those the caller had ignored: nohup means it."""
    return [number for number in FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]


def _listen(control_out: int, stop: Stop, max_runtime_s: float) -> None:
    """Turn the supervisor's requests into stop requests; its death is one too."""
    while True:
        request = os.read(control_out, 1)
        if not request:
            stop.request(
                Interrupted(
                    "the supervising process died", signal_number=signal.SIGKILL, hint="look for who killed it"
                ),
                now=True,
            )
            return
        if request == ASK_TO_STOP_NOW:
            stop.request(
                MaxRuntimeExceeded(
                    f"the run was ended at its max runtime of {max_runtime_s:.0f} s",
                    hint="the next run continues from the checkpoint; raise --max-runtime if this repeats",
                ),
                now=True,
            )
        else:
            _ask(stop, SIGNAL_OF[request[0]])


def _ask_twice(stop: Stop, number: int) -> None:
    """A signal sent to the worker itself: the first asks, the second means now. No lock may be waited for here."""
    hurry = stop.reason is not None
    threading.Thread(target=_ask, args=(stop, number), kwargs={"now": hurry}, daemon=True).start()


def _ask(stop: Stop, number: int, *, now: bool = False) -> None:
    name = signal.Signals(number).name
    stop.request(
        Interrupted(
            f"{name} ended the run; its checkpoint is kept", signal_number=number, hint="the next run continues"
        ),
        now=now,
    )


def _parse(payload: bytes) -> RunReport | None:
    """The worker's report; None when it died before it had written all of it."""
    try:
        report = pickle.loads(payload)  # noqa: S301 - from our own child, over a pipe that nobody else has
    except (EOFError, pickle.UnpicklingError):
        return None
    return report if isinstance(report, RunReport) else None
