"""The loop of a worker: claim, hand to threads, have the endings written, until nothing is due.

Three things go on at once: this loop claims, the threads of the pool carry out, the sender writes down how tries ended.
None of them is waited for with each task. The loop claims again when enough results are there, when nothing is in hand
any more, or when a first result has waited a few milliseconds for others.

Not more is claimed than can begin. A task whose worker was lost before (a suspect) runs alone: nothing else is in hand
by then, neither running nor written down half, so that its death would take no others along.

At its end the worker gives back what has not begun, and has the rest come to its end as long as there is time; what
has not ended by then is given back as well, and its handler's further doings count for nothing.
"""

import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg

from jobctl import clock, log
from jobctl.db.sqlstate import is_conflict
from jobctl.errors import JobctlError
from jobctl.jobs.work.calls import Again, Call, Caller, calls_of
from jobctl.jobs.work.context import Connections
from jobctl.jobs.work.handlers import Handlers, Registered
from jobctl.jobs.work.held import Held
from jobctl.jobs.work.keeper import Keeper
from jobctl.jobs.work.kinds import Kind, Kinds
from jobctl.jobs.work.line import Line, is_away
from jobctl.jobs.work.pool import Pool
from jobctl.jobs.work.rescuing import rescue_lost
from jobctl.jobs.work.sender import Sender
from jobctl.jobs.work.tally import Tally
from jobctl.queue import left, verdict
from jobctl.queue.claim import Claimer, find_lanes
from jobctl.queue.task import Ending, Task
from jobctl.redact import Redactor
from jobctl.runtime.closing import peak_memory_bytes
from jobctl.runtime.run import Run
from jobctl.settings import Settings

LOG = log.get_logger()
LINGER_S: Final = 0.005  # so long a result waits for others before the loop looks at it
LOOK_EVERY_S: Final = 0.2  # for tries that take too long, and for a stop
CLAIM_AGAIN_S: Final = (0.1, 2.0)  # when nothing more can be had, by how long it took; at once when ours made room
POLL_S: Final = (0.1, 1.0)  # with --until-empty, while others have what is left
AWAY_S: Final = 0.25
MOST_CONFLICTS: Final = 20  # in a row
UNSURE_S: Final = 3.0  # after a claim whose answer was lost
GRACE_SHARE: Final = 0.6  # of the grace of the process: its handlers' part


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, and until when (a moment of the monotonic clock): in the last part before it nothing is claimed
    any more. `concurrency` is in calls: of a task, or of a batch where the handler takes those."""

    batch: int
    concurrency: int
    max_tasks: int | None
    until_empty: bool
    ends_at: float
    last_part_s: float
    grace_s: float


class Worker:
    def __init__(
        self,
        run: Run,
        limits: Limits,
        settings: Settings,
        redactor: Redactor,
        handlers: Handlers,
        types: Sequence[str],
    ) -> None:
        self.tally = Tally()
        self.notes: list[str] = []
        self.unusable: set[str] = set()  # types of which something is due, and whose handler is of no use
        self.has_stuck = False
        self.unsent = 0
        self._run = run
        self._limits = limits
        self._queue = settings.queue_settings
        self._handlers = handlers
        self._types = types
        ends_at = limits.ends_at
        self._claims_end_at = ends_at - limits.last_part_s
        # Handlers are told a little before the supervisor would end the run.
        last_s = min(limits.grace_s, limits.last_part_s / 2)
        self._ask_at = ends_at - last_s
        self._give_back_at = ends_at - last_s * (1 - GRACE_SHARE)
        database = run.database
        worker = f"{run.identity.host}/{os.getpid()}"
        self._claimer = Claimer(types, worker=worker, run_id=run.run_id, lease_s=self._queue.lease_s, database=database)
        self._line = Line(lambda: run.connect("claim"))
        self._kinds = Kinds()
        self._held = Held()
        self._connections = Connections(database)
        self._caller = Caller(
            settings,
            redactor,
            self._connections,
            run.scope,
            lambda task: self._held.is_whole(task, self._queue.lease_s),
        )
        self._pool: Pool[Call, Ending | Again] = Pool(limits.concurrency, self._caller.carry_out)
        self._sender = Sender(
            Line(lambda: database.connect(purpose="complete")), self._held, self.tally, on_sent=self._pool.nudge
        )
        self._keeper = Keeper(
            Line(lambda: database.connect(purpose="keep")),
            self._held,
            lease_s=self._queue.lease_s,
            beat_s=self._queue.beat_s,
            on_lost=self._void,
        )
        self._open = 0  # tasks claimed whose end the loop has not seen yet
        self._taken = 0  # tasks that count against --max-tasks
        self._suspect: Task | None = None
        self._is_alone = False
        self._most: int | None = None  # wanted at once, while suspects are about
        self._is_empty = False  # a claim gave nothing when nothing was in hand
        self._claim_at = self._look_at = self._rescue_at = 0.0
        self._vain_after: int | None = None  # endings written before nothing more could be had
        self._poll_s = POLL_S[0]
        self._conflicts = 0
        self._unsure_until = 0.0
        self._claimed_at = datetime.min.replace(tzinfo=UTC)  # the last claim that was answered

    # The drain -----------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Until nothing is due, or the run has to end. Counts and notes are there also when it raises."""
        self._sender.start()
        self._keeper.start()
        try:
            self._rescue()
            if self._import_handlers() or self._limits.until_empty:
                self._drain()
        finally:
            self._wind_up()

    def _import_handlers(self) -> bool:
        """Those of which something is due. A handler that cannot be used is known before anything is claimed for it."""
        due = sorted({lane.type for lane in find_lanes(self._line.conn(), self._types)})
        usable = [type_ for type_ in due if self._handlers.get(type_) is not None]
        self.unusable.update(type_ for type_ in due if type_ not in usable)
        return bool(usable)

    def _drain(self) -> None:
        while not self._must_end():
            self._take_in()
            self._look()
            if self._suspect is not None and self._open == 1 and self._sender.pending == 0:
                self._run_alone(self._suspect)
            if self._may_claim() and self._claim():
                continue
            if self._is_done():
                return
            self._wait()

    def _must_end(self) -> bool:
        if self._pool.stuck * 2 > self._limits.concurrency:
            self.has_stuck = True
        return self.has_stuck or self._run.stop.reason is not None or clock.monotonic() >= self._claims_end_at

    def _is_done(self) -> bool:
        """Nothing in hand, and nothing to come."""
        if self._open or self._sender.pending:
            return False
        if self._tasks_left() == 0:
            return True
        if not self._is_empty:
            return False
        self._is_empty = False
        usable = self._usable()
        if not usable or not self._is_more_to_come(usable):
            return True
        self._claim_at = clock.monotonic() + self._poll_s
        self._poll_s = min(2 * self._poll_s, POLL_S[1])
        return False

    def _is_more_to_come(self, types: Sequence[str]) -> bool:
        """Whether waiting here brings more: what is left at all, where that is wanted; else what a rate holds back."""
        ask = left.is_anything_left if self._limits.until_empty else left.is_paced
        try:
            return ask(self._line.conn(), types)
        except (psycopg.Error, JobctlError) as error:
            self._not_answered(error)
            return True

    def _wait(self) -> None:
        """Until there is something to do for the loop."""
        now = clock.monotonic()
        until = min(now + LOOK_EVERY_S, self._claims_end_at)
        if self._claim_at > now:
            until = min(until, self._claim_at)
        if self._open - (self._suspect is not None) > 0:
            self._pool.wait(1, max(until - now, 0.001))
            self._pool.wait(max(1, min(self._limits.batch, self._limits.concurrency) // 2), LINGER_S)
        else:
            self._pool.pause(max(until - now, 0.001))

    # Claims --------------------------------------------------------------------------------------------------------

    def _may_claim(self) -> bool:
        if self._suspect is not None or (self._is_alone and self._open):
            return False
        self._is_alone = False
        largest = max(self._limits.batch, self._limits.concurrency, *self._handlers.batch_sizes.values())
        if self._calls_left() <= 0 or self._tasks_left() <= 0 or self._sender.pending > 2 * largest:
            return False
        if self._vain_after is not None and self._sender.written > self._vain_after:
            self._claim_at = 0.0
        return clock.monotonic() >= self._claim_at

    def _calls_left(self) -> int:
        return self._limits.concurrency - self._pool.in_hand() - self._pool.stuck

    def _tasks_left(self) -> int:
        most = self._limits.max_tasks
        return sys.maxsize if most is None else most - self._taken

    def _room(self, kind: Kind) -> int:
        """How many of it may be claimed now: a whole batch also where fewer are claimed of others."""
        most = max(self._limits.batch, kind.batch_size)
        room = min(most, self._calls_left() * kind.batch_size, self._tasks_left())
        return room if self._most is None else min(room, self._most)

    def _usable(self) -> list[str]:
        return [type_ for type_ in self._types if type_ not in self._handlers.broken]

    def _claim(self) -> bool:
        """Whether there was something to claim."""
        was_quiet = self._open == 0 and self._sender.pending == 0
        written, self._vain_after = self._sender.written, None
        began = clock.monotonic()
        try:
            conn = self._line.conn()
            tasks = self._strays(conn) or self._claim_in_turn(conn)
        except (psycopg.Error, JobctlError) as error:
            self._not_answered(error)
            return False
        self._conflicts = 0
        self._claim_at = 0.0
        if not tasks or self._claimer.is_full:
            now = clock.monotonic()
            self._vain_after = written
            self._claim_at = now + min(max(4 * (now - began), CLAIM_AGAIN_S[0]), CLAIM_AGAIN_S[1])
        self._is_empty = not tasks and was_quiet
        if not tasks:
            return False
        self._poll_s = POLL_S[0]
        self._caller.clock.learn(tasks[0].claimed_at, began)
        self._claimed_at = max(self._claimed_at, *(task.claimed_at for task in tasks))
        self._held.add(tasks)
        self.tally.claimed += len(tasks)
        self._hand_out(tasks)
        return True

    def _claim_in_turn(self, conn: psycopg.Connection) -> list[Task]:
        kinds = self._kinds.in_turn(self._usable(), self._handlers.batch_sizes, self._claimer.found)
        for number, kind in enumerate(kinds):
            if number > 0 and self._claimer.found.isdisjoint(kind.types):
                continue  # the claim in vain before it has looked for all of them
            self._kinds.was_asked(kind)
            tasks = self._claimer.claim(conn, self._room(kind), types=kind.types)
            if tasks:
                return tasks
        return []

    def _strays(self, conn: psycopg.Connection) -> list[Task]:
        if clock.monotonic() > self._unsure_until:
            return []
        return left.claimed_unawares(conn, self._run.run_id, after=self._claimed_at)

    def _not_answered(self, error: psycopg.Error | JobctlError) -> None:
        """The database is away, or somebody was in the way: a little later. Anything else ends the run."""
        now = clock.monotonic()
        if is_away(error):
            self._line.drop()
            self._unsure_until = now + UNSURE_S
            self._claim_at = now + AWAY_S
            LOG.warning("claims_wait", error=error)
        elif (is_conflict(error) or isinstance(error, psycopg.errors.QueryCanceled)) and (
            self._conflicts < MOST_CONFLICTS or self._run.stop.reason is not None
        ):
            self._conflicts += 1
            self._claim_at = now + random.uniform(0.01, 0.2)
        else:
            raise error

    def _hand_out(self, tasks: Sequence[Task]) -> None:
        suspects = [task for task in tasks if task.crashes]
        others = [task for task in tasks if not task.crashes]
        if suspects:
            self._suspect, self._most = suspects[0], 1
            self._open += 1
            self._taken += 1
            self._give_back(suspects[1:], "a task whose worker was lost runs alone, and another one does so first")
        elif self._most is not None:
            self._most = None if 2 * self._most > self._limits.batch else 2 * self._most
        unusable = [task for task in others if self._handlers.get(task.type) is None]
        if unusable:  # it came in after the others' handlers were imported
            self.unusable.update(task.type for task in unusable)
            self._give_back(unusable, "its handler cannot be used here")
            others = [task for task in others if self._handlers.get(task.type) is not None]
        self._open += len(others)
        self._taken += len(others)
        self._pool.offer(calls_of(others, self._handler_of))

    def _run_alone(self, task: Task) -> None:
        self._suspect = None
        handler = self._handlers.get(task.type)
        if handler is None:
            self._open -= 1
            self._give_back([task], "its handler cannot be used here")
            return
        LOG.info("task_runs_alone", task_id=task.task_id, task_type=task.type, crashes=task.crashes)
        self._is_alone = True
        self._pool.offer([Call([task], handler)])

    def _handler_of(self, type_: str) -> Registered:
        handler = self._handlers.get(type_)
        assert handler is not None
        return handler

    def _give_back(self, tasks: Sequence[Task], why: str) -> None:
        self._sender.send([verdict.released(task, why) for task in tasks])

    # What comes in -------------------------------------------------------------------------------------------------

    def _take_in(self, *, goes_on: bool = True) -> None:
        """The results since the last time."""
        endings: list[Ending] = []
        for result in self._pool.collect():
            if isinstance(result, Ending):
                endings.append(result)
            elif goes_on:
                self._pool.offer(result.calls)
            else:
                tasks = [task for call in result.calls for task in call.tasks]
                self._open -= len(tasks)
                self._give_back(tasks, "the run ended before it could be tried alone")
        self._open -= len(endings)
        self._sender.send(endings)

    def _look(self) -> None:
        """Now and then: tries that take too long, tasks of dead workers, how far we are."""
        now = clock.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        self._caller.memory_bytes = peak_memory_bytes()
        self._run.progress(self.tally.done, None)
        for call in self._pool.running():
            if call.context is not None and call.context.is_overdue and self._pool.abandon(call):
                call.context.make_void("the try has timed out")
                self._open -= len(call.tasks)
                self._sender.send(self._caller.timed_out(call))
        if now >= self._rescue_at and self._run.stop.reason is None:
            try:
                self._rescue()
            except (psycopg.Error, JobctlError) as error:
                self._not_answered(error)

    def _rescue(self) -> None:
        """Put right what dead workers left."""
        self._rescue_at = clock.monotonic() + min(max(self._queue.lease_s / 2, 1.0), 60.0)
        conn = self._line.conn()
        for each in rescue_lost(conn, self._queue):
            self.tally.crashed += each.state == "failed"
            self.tally.rescued += each.state != "failed"
            self._run.event("task_rescued", level="warning", task_id=each.task_id, task_type=each.type,
                            state=each.state, reason=each.why)  # fmt: skip

    def _void(self, tasks: Sequence[Task]) -> None:
        """By the keeper's thread: these are no longer ours. A batch goes on with what is left of it."""
        lost = {task.task_id for task in tasks}
        for call in self._pool.running():
            if call.context is not None and lost.issuperset(task.task_id for task in call.tasks):
                call.context.make_void("the task was taken from this worker")

    # The end -------------------------------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        stop = self._run.stop
        unbegun = [task for call in self._pool.take_back() for task in call.tasks]
        if self._suspect is not None:
            unbegun.append(self._suspect)
            self._suspect = None
        self._open -= len(unbegun)
        self._give_back(unbegun, self._why_it_ends())
        self._let_end()
        cut_off = self._cut_off()
        self._take_in(goes_on=False)
        if cut_off:
            self.notes.append(
                f"{cut_off:,} tries were given back unfinished when the run had to end; "
                "--max-runtime has to leave a task the time it takes"
            )
        if stop.reason is None:
            left_s = self._ask_at + self._limits.grace_s - clock.monotonic()
            within_s = min(max(left_s, 2.0), self._queue.lease_s)
        else:
            within_s = 1.0 if stop.is_hurried else max(1.0, self._limits.grace_s * 0.3)
        self._sender.close(within_s)
        self.unsent = self._sender.unsent
        self._keeper.close()
        self._pool.close()
        self._connections.close()
        self._line.drop()

    def _why_it_ends(self) -> str:
        if self._run.stop.reason is not None:
            return "the run was stopped before it began"
        return "too many tries hang" if self.has_stuck else "the run's time was up before it began"

    def _let_end(self) -> None:
        """Wait for what runs: until the run's time is up, or after a stop for as long as the grace allows."""
        stop = self._run.stop
        stopped_at: float | None = None
        while self._open > 0:
            self._take_in(goes_on=False)
            self._look()
            now = clock.monotonic()
            if stop.reason is not None:
                stopped_at = now if stopped_at is None else stopped_at
                self._ask_to_stop("the run was stopped")
                if stop.is_hurried or now >= stopped_at + GRACE_SHARE * self._limits.grace_s:
                    return
            elif now >= self._ask_at:
                self._ask_to_stop("the run's time is up")
                if now >= self._give_back_at:
                    return
            if self._open > 0:
                self._pool.wait(1, 0.05)

    def _ask_to_stop(self, reason: str) -> None:
        for call in self._pool.running():
            if call.context is not None:
                call.context.ask_to_stop(reason)

    def _cut_off(self) -> int:
        """Give back what has not ended."""
        count = 0
        for call in self._pool.running():
            if self._pool.abandon(call):
                if call.context is not None:
                    call.context.make_void("the run had to end")
                self._open -= len(call.tasks)
                self._give_back(call.tasks, "the run had to end before it was done")
                count += len(call.tasks)
        return count
