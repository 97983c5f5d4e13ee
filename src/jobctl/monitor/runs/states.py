"""What state a run is in now. Pure, and shared by everything that shows runs.

A row of ops.job_history says how a run ended. While it says `running` it is a claim, and the run's advisory lock is the
truth: the server frees it in the moment in which the session ends, however that ends. So a row of the state

    running    says running, its session holds its lock, and it beats
    frozen     says running and holds its lock, and has been silent for half its lease or more: stopped (SIGSTOP, a
               paused machine), or cut off with the server not knowing; after a lease its next start takes over
    dead       says running, and its lock is free: it was killed. The next run of any job makes it `abandoned`
    degraded   completed, and left out more than it may

and otherwise of its status. `missed` is no run's state: it is a slot that nobody answered for (missed.py).

`running.py` asks the database for the facts; whoever lists rows takes the state of unfinished ones from there:

    truth = {(each.run_id, each.scope): each for each in running.unfinished(conn)}
    state = states.of(row.status, degraded=row.degraded, pulse=truth.get((row.run_id, row.scope)))
"""

from typing import Final, Literal, Protocol, cast, get_args

State = Literal[
    "pending", "running", "frozen", "dead", "completed", "degraded", "failed", "timeout", "interrupted", "abandoned",
    "skipped",
]  # fmt: skip
STATES: Final[tuple[State, ...]] = get_args(State)
UNFINISHED: Final = frozenset({"pending", "running"})
SILENT_SHARE: Final = 0.5  # of the lease, which is six heartbeats or more


class Pulse(Protocol):
    """Whether a run that says it is running is: `silent_s` is how long ago it last beat."""

    @property
    def is_lock_held(self) -> bool: ...
    @property
    def silent_s(self) -> float: ...
    @property
    def lease_s(self) -> int | None: ...


def of(status: str, *, degraded: bool = False, pulse: Pulse | None = None) -> State:
    """`pulse` is None for a run that has ended, and for one that says otherwise but is known to be gone."""
    if status == "running":
        if pulse is None or not pulse.is_lock_held:
            return "dead"
        is_silent = pulse.lease_s is not None and pulse.silent_s >= SILENT_SHARE * pulse.lease_s
        return "frozen" if is_silent else "running"
    if status == "completed" and degraded:
        return "degraded"
    return cast(State, status)  # the table allows no other
