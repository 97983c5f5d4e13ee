"""What a run does when its heartbeat brings a request to cancel it: it ends as by SIGTERM.

The worker asks itself to stop, with who and why, and signals its supervisor, which then keeps the time as for any
SIGTERM: the grace, then TERM, then KILL. So a job that does not heed the request still ends. The supervisor is this
process's own parent, known by its number while it is the parent; no other process is ever signalled.

`is_now` is the second signal: statements are cancelled at once, and at the next beat the supervisor hears a second
SIGTERM. It hears no third, since each one begins its last wait anew.
"""

import os
import signal
from contextlib import suppress

from jobctl.errors import Interrupted
from jobctl.runtime.cancellations import Cancellation
from jobctl.runtime.stop import Stop


class Cancelling:
    def __init__(self, stop: Stop, supervisor_pid: int) -> None:
        """`stop` may be that of one scope: what is cancelled is the run."""
        self._stop = stop.whole
        self._supervisor_pid = supervisor_pid
        self._hurries = False
        self.request: Cancellation | None = None

    def heed(self, request: Cancellation) -> None:
        """Called at each beat that brings a request."""
        is_first = self.request is None
        self.request = request
        if is_first:
            is_stopping = self._stop.reason is not None
            self._stop.request(_reason(request), now=request.is_now)
            if not is_stopping:  # else the supervisor keeps the time already
                self._signal()
        elif request.is_now and not self._hurries:
            self._hurries = True
            self._stop.request(_reason(request), now=True)
            self._signal()

    def _signal(self) -> None:
        if os.getppid() == self._supervisor_pid and self._supervisor_pid > 1:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self._supervisor_pid, signal.SIGTERM)


def _reason(request: Cancellation) -> Interrupted:
    return Interrupted(
        f"{request}; its checkpoint is kept", signal_number=signal.SIGTERM, hint="the next run continues"
    )
