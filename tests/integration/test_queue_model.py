"""Any history of the queue keeps its promises: a model of it, and the real one beside it, after each step the same.

Hypothesis makes up histories of what workers, operators and accidents do: enqueue, claim, complete, fail, snooze,
release, extend, freeze, rescue, crash, block, cancel, retry. The model says what must come of each step; afterwards all
tasks and all tries in the database are compared with it, and the views that state the promises must be empty. At the
end everything is drained. Then the model itself is tried: with one guarantee taken out of the SQL it must fail.
"""

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, TypeVar
from uuid import uuid4

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import bench_queue
from bench_runs import size
from jobctl.queue import claim, complete, lease, rescue
from jobctl.queue.claim import Claimer
from jobctl.queue.enqueue import Request, enqueue
from jobctl.queue.task import Ending, NextState, OutcomeOfTry, Task

LEASE_S = 3_600  # nothing lapses by itself: what freezes a worker is a step of the history
LATER = timedelta(minutes=5)  # which a priority of 1, worth ten minutes, ranks before this moment
CLAIMERS = 2
TYPES = ("a", "b")
USERS = ("", "u1", "u2")
KEYS = (None, None, "k1", "k2")

Wanted = tuple[str, str, str | None, int, bool]  # type, user, key, priority, whether later

some = st.one_of(st.just(-1), st.integers(0, (1 << 10) - 1))  # which of a list, bit by bit; -1 is all
claimers = st.integers(0, CLAIMERS - 1)
requests = st.lists(
    st.tuples(
        st.sampled_from(TYPES),
        st.sampled_from(USERS),
        st.sampled_from(KEYS),
        st.sampled_from((0, 1, 1, -1)),
        st.sampled_from((False, False, True)),
    ),
    min_size=1,
    max_size=6,
)


@dataclass(unsafe_hash=True)
class Known:
    """What the model knows of a task."""

    type: str
    user: str
    key: str | None
    state: str = "queued"
    attempts: int = 0
    crashes: int = 0
    fence: int = 0
    due: bool = True
    held: bool = False  # lease in the future
    checkpoint: Any = None


@dataclass
class Worker:
    claimer: Claimer
    tasks: list[Task] = field(default_factory=list[Task])  # whatever it was ever given and has not answered for
    is_fresh: bool = True


NOW = "SELECT clock_timestamp()"
TASKS = """
SELECT task_id, type, user_id, dedupe_key, state, attempts, crashes, fence, scheduled_at <= clock_timestamp(),
    state = 'running' AND lease_until > clock_timestamp(), checkpoint
FROM queue.tasks ORDER BY task_id
"""
TRIES = "SELECT task_id, fence, attempt, outcome FROM queue.attempts ORDER BY fence"
FREEZE = "UPDATE queue.tasks SET lease_until = clock_timestamp() - interval '1 second' WHERE task_id = ANY(%s)"
MAKE_DUE = """
UPDATE queue.tasks SET scheduled_at = clock_timestamp() - interval '1 second'
WHERE state = 'queued' AND scheduled_at > clock_timestamp()
"""
UNBLOCK = "UPDATE public.ingestion_jobs SET status = 'queued' WHERE status = 'blocked'"
CHANGE = "UPDATE public.ingestion_jobs SET status = %s WHERE id = ANY(%s) AND status = ANY(%s)"
LANES = """
SELECT user_id, type, task_id FROM queue.tasks WHERE state = 'queued' AND scheduled_at <= clock_timestamp()
ORDER BY user_id, type, (scheduled_at AT TIME ZONE 'UTC') - priority * interval '10 minutes', task_id
"""


QUEUED_OF = "SELECT task_id FROM queue.tasks WHERE task_id = ANY(%s) AND state = 'queued'"

Make = Callable[[Task, datetime], Ending]
MOMENT = timedelta(seconds=1)


def _ends(outcome: OutcomeOfTry, state: NextState, after: timedelta = -MOMENT, error: str | None = None) -> Make:
    def make(task: Task, now: datetime) -> Ending:
        return Ending(
            task,
            outcome,
            state,
            scheduled_at=now + after if state == "queued" else None,
            error_class=error,
            error_message=error and f"{error} happened",
            is_recoverable=None if error is None else state == "queued",
            result={"n": task.task_id} if outcome == "succeeded" else None,
        )

    return make


ENDINGS: dict[str, Make] = {
    "succeeds": _ends("succeeded", "succeeded"),
    "fails": _ends("failed", "queued", error="Recoverable"),
    "fails, later": _ends("failed", "queued", LATER, error="Recoverable"),
    "fails for good": _ends("failed", "failed", error="NotRecoverable"),
    "times out": _ends("timeout", "queued", error="TimedOut"),
    "is put off": _ends("snoozed", "queued", LATER, error="Snooze"),
    "is given back": _ends("released", "queued"),
}
hows = st.lists(st.sampled_from(sorted(ENDINGS)), min_size=1, max_size=10)
T = TypeVar("T")


def _of(values: list[T], which: int) -> list[T]:
    return [value for n, value in enumerate(values) if which >> (n % 10) & 1]


def _is_due(ending: Ending) -> bool:
    return ending.scheduled_at is None or ending.scheduled_at < datetime.now(UTC) + LATER / 2


of_types = st.sampled_from((None, None, ("a",), ("b",)))
limits = (st.sampled_from((8, 4, 2, 1)), st.sampled_from((2, 3, 1)), st.sampled_from((4, 2, 1)))

Step = tuple[Any, ...]  # the name of a method and its arguments
STEPS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "enqueue": (requests,),
    "claim": (claimers, st.integers(1, 6), of_types),
    "end": (claimers, some, hows),
    "succeed": (claimers, some),
    "end_again": (claimers, some),
    "extend": (claimers, some),
    "write_an_effect": (claimers, some),
    "save_a_checkpoint": (claimers, some),
    "crash": (claimers,),
    "freeze": (some,),
    "rescue": (st.integers(1, 3), st.booleans(), of_types),
    "give_away": (claimers, some),
    "block": (some,),
    "unblock": (),
    "take_away": (some, st.sampled_from(("queued", "blocked", "cancelled"))),
    "cancel": (some,),
    "retry": (some,),
    "time_comes": (),
    "change_limits": limits,
}
OFTEN = {"claim": 2, "end": 2, "freeze": 2, "give_away": 3}


def _steps(names: Iterable[str]) -> st.SearchStrategy[Step]:
    return st.one_of([st.tuples(st.just(name), *STEPS[name]) for name in names for _ in range(OFTEN.get(name, 1))])


def _of_this_play(machine: "QueueMachine") -> st.SearchStrategy[Step]:
    return machine.steps


class QueueMachine(RuleBasedStateMachine):
    conn: ClassVar[psycopg.Connection]
    steps: ClassVar[st.SearchStrategy[Step]]

    def __init__(self) -> None:
        super().__init__()
        bench_queue.empty(self.conn)
        self.tasks: dict[int, Known] = {}
        self.tries: list[tuple[int, int, int, str]] = []
        self.workers = [self._worker() for _ in range(CLAIMERS)]
        self.highest_fence = 0
        self.limit_all, self.limit_user, self.limit_type = 500, 2, 500

    def _worker(self) -> Worker:
        return Worker(Claimer(TYPES, worker="host/1", run_id=uuid4(), lease_s=LEASE_S))

    # What callers do ----------------------------------------------------------------------------------------------

    @initialize(
        everybody=st.sampled_from((8, 4, 2, 1)),
        user=st.sampled_from((2, 3, 1)),
        of_a=st.sampled_from((4, 2, 1)),
        requests=requests,
    )
    def begin(self, everybody: int, user: int, of_a: int, requests: list[Wanted]) -> None:
        self._set_limits(everybody, user, of_a)
        self.enqueue(requests)

    @rule(step=st.runner().flatmap(_of_this_play))
    def step(self, step: Step) -> None:
        """One rule for all: of several, hypothesis leaves out half in each history, and here one needs the other."""
        name, *arguments = step
        getattr(self, name)(*arguments)

    def _set_limits(self, everybody: int, user: int, of_a: int) -> None:
        self.limit_all, self.limit_user, self.limit_type = everybody, user, of_a
        bench_queue.set_limits(self.conn, running=everybody, each_user=user, types={"a": of_a})

    def enqueue(self, requests: list[Wanted]) -> None:
        """Of requests for the same thing the last one counts. One that waits is superseded, and keeps its user."""
        after = self._now() + LATER
        told = enqueue(
            self.conn,
            [
                Request(type_, user_id=user, dedupe_key=key, priority=priority, scheduled_at=after if later else None)
                for type_, user, key, priority, later in requests
            ],
            run_id=uuid4(),
        )
        last = {(type_, key or n): (user, later) for n, (type_, user, key, _, later) in enumerate(requests)}
        wanted = Counter[Known]()
        for (type_, key), (user, later) in last.items():
            twin = self._waiting(type_, key) if isinstance(key, str) else None
            if twin is not None:
                self.tasks[twin].due |= not later
                self.tasks[twin].checkpoint = None  # it was about the older content
            else:
                wanted[Known(type_, user, key if isinstance(key, str) else None, due=not later)] += 1
        new = {row[0]: Known(*row[1:]) for row in self.conn.execute(TASKS) if row[0] not in self.tasks}
        assert Counter(new.values()) == wanted
        assert (told.new, told.superseded) == (len(new), len(requests) - len(new))
        self.tasks |= new

    def _waiting(self, type_: str, key: str | None) -> int | None:
        return None if key is None else self._waiting_but(type_, key, [])

    def _waiting_but(self, type_: str, key: str, numbers: list[int]) -> int | None:
        """The one task of that key that waits, these left out."""
        found = [
            number
            for number, one in self.tasks.items()
            if (one.state, one.type, one.key) == ("queued", type_, key) and number not in numbers
        ]
        assert len(found) <= 1
        return found[0] if found else None

    # What workers do ----------------------------------------------------------------------------------------------

    def claim(self, who: int, wanted: int, types: tuple[str, ...] | None) -> None:
        worker = self.workers[who]
        lanes = self._lanes() if worker.is_fresh else None
        taken = worker.claimer.claim(self.conn, wanted, types=types)
        worker.is_fresh = False
        assert len(taken) <= wanted
        for task in taken:
            known = self.tasks[task.task_id]
            assert known.state == "queued" and known.due, f"{task.task_id} was not to be had: {known}"
            assert types is None or task.type in types
            assert task.fence > self.highest_fence, "fences rise"
            assert (task.attempt, task.crashes) == (known.attempts + 1, known.crashes)
            assert (task.type, task.user_id, task.dedupe_key) == (known.type, known.user, known.key)
            assert task.checkpoint == known.checkpoint
            known.state, known.fence, known.held = "running", task.fence, True
            known.attempts += 1
            worker.tasks.append(task)
        self.highest_fence = max([self.highest_fence, *(task.fence for task in taken)])
        if not taken:
            assert not self._claimable(types), f"nothing was claimed, but {self._claimable(types)} were to be had"
        if lanes is not None:
            mine = {(task.user_id, task.type) for task in taken}
            for lane in mine:
                got = {task.task_id for task in taken if (task.user_id, task.type) == lane}
                assert got == set(lanes[lane][: len(got)]), f"{lane} gave {got} of {lanes[lane]}"

    def _lanes(self) -> dict[tuple[str, str], list[int]]:
        lanes: dict[tuple[str, str], list[int]] = {}
        for user, type_, number in self.conn.execute(LANES):
            lanes.setdefault((user, type_), []).append(number)
        return lanes

    def _claimable(self, types: Iterable[str] | None) -> list[int]:
        """Tasks that no limit keeps from running."""
        running = [one for one in self.tasks.values() if one.state == "running"]
        by_user, by_type = Counter(one.user for one in running), Counter(one.type for one in running)
        if len(running) >= self.limit_all:
            return []
        return [
            number
            for number, one in self.tasks.items()
            if one.state == "queued" and one.due and one.type in (types or TYPES)
            if one.user == "" or by_user[one.user] < self.limit_user
            if one.type != "a" or by_type["a"] < self.limit_type
        ]

    def end(self, who: int, which: int, how: list[str]) -> None:
        """A worker ends tries of its own, among them such as it has lost since."""
        worker = self._holder(who)
        ended = _of(worker.tasks, which)
        endings = [ENDINGS[how[n % len(how)]](task, self._now()) for n, task in enumerate(ended)]
        refused = complete.complete(self.conn, endings)
        held = {ending.task.task_id for ending in endings if self._holds(ending.task)}
        assert set(refused) == {ending.task.task_id for ending in endings} - held
        self._ended([ending for ending in endings if self._holds(ending.task)])
        worker.tasks = [task for task in worker.tasks if task not in ended]

    def succeed(self, who: int, which: int) -> None:
        self.end(who, which, ["succeeds"])

    def end_again(self, who: int, which: int) -> None:
        """The same completion twice, as after a lost answer: the second is refused."""
        worker = self._holder(who)
        endings = [ENDINGS["succeeds"](task, self._now()) for task in _of(worker.tasks, which)]
        complete.complete(self.conn, endings)
        self._ended([ending for ending in endings if self._holds(ending.task)])
        again = complete.complete(self.conn, endings)
        assert set(again) == {ending.task.task_id for ending in endings}
        worker.tasks = [task for task in worker.tasks if task not in [ending.task for ending in endings]]

    def _holder(self, who: int) -> Worker:
        """This one, or the next who has tasks."""
        return next((w for w in (*self.workers[who:], *self.workers) if w.tasks), self.workers[who])

    def _has(self, task: Task) -> bool:
        known = self.tasks[task.task_id]
        return known.state == "running" and known.fence == task.fence

    def _holds(self, task: Task) -> bool:
        return self._has(task) and self.tasks[task.task_id].held

    def _ended(self, endings: list[Ending]) -> None:
        for ending in endings:
            self.tries.append((ending.task.task_id, ending.task.fence, ending.task.attempt, ending.outcome))
            known = self.tasks[ending.task.task_id]
            known.attempts -= ending.outcome in {"snoozed", "released"}
            if ending.state == "succeeded":
                known.checkpoint = None
        self._leave({ending.task.task_id: (ending.state, _is_due(ending)) for ending in endings})

    def _leave(self, changes: Mapping[int, tuple[str, bool]]) -> None:
        """`running` for these states, due or not, in one statement: among twins, one waits and the others are
        superseded. Which of those that ended together it is, is the queue's to say."""
        back: dict[tuple[str, str], list[int]] = {}
        for number, (state, due) in changes.items():
            known = self.tasks[number]
            known.held = False
            if state == "queued" and known.key is not None:
                back.setdefault((known.type, known.key), []).append(number)
            known.state, known.due = state, due
        for (type_, key), twins in back.items():
            waits = self._waiting_but(type_, key, twins) or self._which_is_queued(twins)
            for number in twins:
                if number != waits:
                    self.tasks[number].state = "cancelled"

    def _leave_by_hand(self, changes: Mapping[int, tuple[str, bool]]) -> None:
        """As `_leave`, but what an operator puts back also takes the place of an older twin that waits."""
        self._leave(changes)
        for number, (state, _) in changes.items():
            known = self.tasks[number]
            if state == "queued" and known.key is not None:
                twins = [n for n, one in self.tasks.items() if (one.type, one.key) == (known.type, known.key)]
                waiting = [n for n in twins if self.tasks[n].state == "queued" or n == number]
                for twin in waiting:
                    self.tasks[twin].state = "queued" if twin == max(waiting) else "cancelled"

    def _which_is_queued(self, numbers: list[int]) -> int:
        if len(numbers) == 1:
            return numbers[0]
        found = self.conn.execute(QUEUED_OF, (numbers,)).fetchall()
        assert len(found) == 1, f"of the twins {numbers} these wait: {found}"
        return found[0][0]

    def extend(self, who: int, which: int) -> None:
        """Also what has lapsed, if nobody has given it away by now."""
        tasks = _of(self._holder(who).tasks, which)
        lost = lease.extend(self.conn, tasks, lease_s=LEASE_S)
        assert set(lost) == {task.task_id for task in tasks} - {task.task_id for task in tasks if self._has(task)}
        for task in tasks:
            self.tasks[task.task_id].held |= self._has(task)

    def write_an_effect(self, who: int, which: int) -> None:
        tasks = _of(self._holder(who).tasks, which)
        for task in tasks:
            try:
                with self.conn.transaction():
                    lease.check_held(self.conn, [task])
                allowed = True
            except lease.TaskLost:
                allowed = False
            assert allowed == self._holds(task)

    def save_a_checkpoint(self, who: int, which: int) -> None:
        tasks = _of(self._holder(who).tasks, which)
        for task in tasks:
            try:
                lease.save_checkpoint(self.conn, task, {"at": task.fence})
                allowed = True
            except lease.TaskLost:
                allowed = False
            assert allowed == self._holds(task)
            if allowed:
                self.tasks[task.task_id].checkpoint = {"at": task.fence}

    # What happens to workers --------------------------------------------------------------------------------------

    def crash(self, who: int) -> None:
        """It forgets its tasks; only their leases end."""
        self.workers[who] = self._worker()

    def freeze(self, which: int) -> None:
        """Leases end, and nobody extends them."""
        numbers = _of(self._in("running"), which)
        self.conn.execute(FREEZE, (numbers,))
        for number in numbers:
            self.tasks[number].held = False

    def rescue(self, crash_limit: int, later: bool, types: tuple[str, ...] | None) -> None:
        pause_s = LATER.total_seconds() if later else 0.0
        lapsed = [number for number in self._lapsed() if types is None or self.tasks[number].type in types]
        rescued = rescue.rescue(self.conn, {"a": crash_limit}, crash_limit + 1, pause_s=pause_s, types=types)
        assert sorted(one.task_id for one in rescued) == sorted(lapsed)
        changes: dict[int, tuple[str, bool]] = {}
        for number in lapsed:
            known = self.tasks[number]
            known.crashes += 1
            self.tries.append((number, known.fence, known.attempts, "crashed"))
            is_dead = known.crashes >= crash_limit + (known.type != "a")
            changes[number] = ("failed", True) if is_dead else ("queued", not later)
        self._leave(changes)
        for number in lapsed:  # the pause is for those that wait
            self.tasks[number].due |= self.tasks[number].state != "queued"

    def give_away(self, who: int, which: int) -> None:
        """All at once, for a history seldom gets so far: leases end, a rescuer comes, and another claims."""
        self.freeze(which)
        self.rescue(9, False, None)
        self.claim(who, 6, None)

    # What operators do --------------------------------------------------------------------------------------------

    def block(self, which: int) -> None:
        numbers = _of(self._in("queued"), which)
        self.conn.execute(CHANGE, ("blocked", numbers, ["queued"]))
        for number in numbers:
            self.tasks[number].state = "blocked"

    def unblock(self) -> None:
        self.conn.execute(UNBLOCK)
        self._leave_by_hand({number: ("queued", self.tasks[number].due) for number in self._in("blocked")})

    def take_away(self, which: int, state: str) -> None:
        """From a worker that has it: the try is given back."""
        numbers = _of(self._in("running"), which)
        self.conn.execute(CHANGE, (state, numbers, ["running"]))
        for number in numbers:
            known = self.tasks[number]
            self.tries.append((number, known.fence, known.attempts, "released"))
            known.attempts -= 1
        self._leave_by_hand(dict.fromkeys(numbers, (state, True)))

    def cancel(self, which: int) -> None:
        numbers = _of(self._in("queued", "blocked"), which)
        self.conn.execute(CHANGE, ("cancelled", numbers, ["queued", "blocked"]))
        for number in numbers:
            self.tasks[number].state = "cancelled"

    def retry(self, which: int) -> None:
        numbers = _of(self._in("failed", "cancelled"), which)
        self.conn.execute(CHANGE, ("queued", numbers, ["failed", "cancelled"]))
        self._leave_by_hand({number: ("queued", self.tasks[number].due) for number in numbers})

    def time_comes(self) -> None:
        """for all that was to run later."""
        self.conn.execute(MAKE_DUE)
        for number in self._in("queued"):
            self.tasks[number].due = True

    def change_limits(self, everybody: int, user: int, of_a: int) -> None:
        """Never below what runs: then there is nothing to be said against it."""
        running = [self.tasks[number] for number in self._in("running")]
        by_user = Counter(one.user for one in running if one.user)
        self._set_limits(
            max(everybody, len(running)),
            max([user, *by_user.values()]),
            max(of_a, sum(one.type == "a" for one in running)),
        )

    def _lapsed(self) -> list[int]:
        return [number for number in self._in("running") if not self.tasks[number].held]

    def _in(self, *states: str) -> list[int]:
        return [number for number, one in self.tasks.items() if one.state in states]

    def _now(self) -> datetime:
        row = self.conn.execute(NOW).fetchone()
        assert row is not None
        return row[0]

    # What must be true after each step ----------------------------------------------------------------------------

    @invariant()
    def every_promise_is_kept(self) -> None:
        assert bench_queue.broken_promises(self.conn) == []

    @invariant()
    def every_task_and_every_try_is_as_the_model_says(self) -> None:
        assert {row[0]: Known(*row[1:]) for row in self.conn.execute(TASKS)} == self.tasks
        assert sorted(self.conn.execute(TRIES).fetchall()) == sorted(self.tries)

    def teardown(self) -> None:
        """All leases end, all pauses are over: a last worker does what is left, and nothing is lost."""
        try:
            self._finish()
        finally:
            super().teardown()

    def _finish(self) -> None:
        self.unblock()
        self.freeze(-1)
        self.rescue(1_000, False, None)
        self.time_comes()
        while self._in("queued"):
            self.workers = [self._worker()]
            self.claim(0, 5, None)
            assert self.workers[0].tasks, f"nobody takes {self._in('queued')}"
            self.end(0, -1, ["succeeds"] * 10)
        assert bench_queue.unfinished(self.conn) == 0
        self.every_promise_is_kept()
        self.every_task_and_every_try_is_as_the_model_says()


# The histories -----------------------------------------------------------------------------------------------------


def _play(
    conn: psycopg.Connection, histories: int, length: int, *, of: Iterable[str] = STEPS, shrink: bool = True
) -> None:
    """Raises what the first history that goes wrong raises, shrunk to its shortest."""
    number = int(os.environ.get("JOBCTL_TORTURE_SEED") or secrets.randbelow(1 << 32))
    print(f"seed {number} (repeat with JOBCTL_TORTURE_SEED={number})")
    machine = seed(number)(type("Machine", (QueueMachine,), {"conn": conn, "steps": _steps(of)}))
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=length,
            phases=phases,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            print_blob=True,
            verbosity=Verbosity.normal if shrink else Verbosity.quiet,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )


@pytest.mark.slow
def test_any_history_keeps_every_promise(conn: psycopg.Connection) -> None:
    _play(conn, size(60, 2_000), size(40, 80))


# The model itself --------------------------------------------------------------------------------------------------


class Mutant(NamedTuple):
    """One guarantee less: texts of a module's SQL are left out or replaced. `steps` bring it to light."""

    module: ModuleType
    sql: tuple[str, ...]
    changes: dict[str, str]
    steps: str


HELD = "AND t.fence = e.fence AND t.claimed_at = e.claimed_at"
UNEXPIRED = "AND t.lease_until > statement_timestamp()"
EXPIRED = "AND t.lease_until < statement_timestamp()"

MUTANTS = {
    "a completion without its fence": Mutant(complete, ("SUCCEED",), {HELD: ""}, "claim give_away succeed"),
    "a failure without its fence": Mutant(complete, ("END",), {HELD: ""}, "claim give_away end"),
    "a completion past its lease": Mutant(complete, ("SUCCEED",), {UNEXPIRED: ""}, "claim freeze succeed"),
    "a failure past its lease": Mutant(complete, ("END",), {UNEXPIRED: ""}, "claim freeze end"),
    "an effect without its fence": Mutant(lease, ("CHECK_HELD",), {HELD: ""}, "claim give_away write_an_effect"),
    "a lease that anybody extends": Mutant(lease, ("EXTEND",), {HELD: ""}, "claim give_away extend"),
    "a rescue of what is not past its lease": Mutant(rescue, ("FIND_LOST", "PUT_BACK"), {EXPIRED: ""}, "claim rescue"),
    "a rescue that counts no crash": Mutant(
        rescue, ("PUT_BACK",), {"crashes = t.crashes + 1": "crashes = t.crashes"}, "claim freeze rescue"
    ),
    "a try that is not counted": Mutant(
        claim, ("CLAIM",), {"attempts = t.attempts + 1": "attempts = t.attempts"}, "claim"
    ),
    "a claim beyond a user's limit": Mutant(
        claim, ("CLAIM",), {"coalesce(u.running, e.running) - coalesce(r.running, 0)": "NULL::bigint"}, "claim"
    ),
    "a claim beyond a type's limit": Mutant(
        claim, ("CLAIM",), {"    l.running - coalesce(r.running, 0),": "    NULL::bigint,"}, "claim"
    ),
    "a claim beyond the limit in all": Mutant(
        claim, ("CLAIM",), {"min(l.running) - (SELECT count(*) FROM running)": "min(l.running)"}, "claim"
    ),
    "a claim of what is not due": Mutant(
        claim, ("CLAIM",), {"AND t.scheduled_at <= statement_timestamp()": ""}, "claim"
    ),
    "a claim that counts only the newest tries": Mutant(
        claim, ("CLAIM",), {"t.fence = ANY (%(known)s": "false AND t.fence = ANY (%(known)s"}, "claim"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_the_model_sees(name: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    for sql in mutant.sql:
        told = getattr(mutant.module, sql)
        text = told.decode() if isinstance(told, bytes) else told
        for words, instead in mutant.changes.items():
            assert words in text, f"{mutant.module.__name__}.{sql} does not say {words!r} any more"
            text = text.replace(words, instead)
        monkeypatch.setattr(mutant.module, sql, text.encode() if isinstance(told, bytes) else text)
    with pytest.raises((AssertionError, psycopg.Error)):
        _play(conn, 200, 20, of=["enqueue", *mutant.steps.split()], shrink=False)
