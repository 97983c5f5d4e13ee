"""The steps of `retry-failed`: each asks a store, lets a pure function decide, writes in batches, and counts."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

import psycopg

from jobctl import clock
from jobctl.alerts.conditions.queue import of_queue_cause
from jobctl.db.sqlstate import is_conflict
from jobctl.jobs.retry_failed.progress import Progress
from jobctl.queue import failures, rescue, rounds, stale
from jobctl.queue import prune as pruning
from jobctl.queue import requeue as requeuing
from jobctl.queue.backoff import pause_s
from jobctl.queue.causes import Cause, causes
from jobctl.queue.prune import Cutoffs
from jobctl.queue.rates import TypeTries, is_down
from jobctl.queue.requeue import Budget, Requeued
from jobctl.queue.rescue import Rescued
from jobctl.settings_alerts import AlertSettings
from jobctl.settings_queue import QueueSettings

RESCUE_BATCH = 1_000
STALE_PAGE = 5_000
STALE_BATCH = 2_000
MOST_STALE = 20_000  # in a run
REQUEUE_BATCH = 500
MOST_REQUEUED = 5_000  # in a run
PRUNE_WINDOW = 2_000
MOST_TRIES = 3  # of a batch that met another writer
OF_QUEUE_CAUSES = ("queue-failures", "queue-failure-rate")


def recover(
    progress: Progress,
    conn: psycopg.Connection,
    queue: QueueSettings,
    types: Sequence[str] | None,
    draw: Callable[[], float],
) -> list[Rescued]:
    """Tasks whose lease has ended wait again, or failed for good at their crash limit; says for each why."""
    found: list[Rescued] = []
    while True:
        progress.run.stop.check()
        batch: list[Rescued] = []
        with progress.batch(conn) as made:
            lost = sorted(rescue.find_lost(conn, types=types, limit=RESCUE_BATCH), key=lambda each: each.type)
            for type_, of_type in groupby(lost, key=lambda each: each.type):
                policy = queue.policy_of(type_)
                pause = pause_s(1, base_s=policy.backoff_base_s, cap_s=policy.backoff_cap_s, share=draw())
                batch += rescue.put_back(conn, list(of_type), {}, policy.crash_limit, pause_s=pause)
            made["stuck_recovered"] = len(batch)
            made["stuck_failed"] = sum(each.state == "failed" for each in batch)
        for each in batch:
            progress.run.event("stuck_recovered", level="warning", **told(each))
        found += batch
        if len(batch) < RESCUE_BATCH:
            return found


def told(rescued: Rescued) -> dict[str, object]:
    """Why a task was taken from its worker, and what became of it, for report and events."""
    return {
        "task_id": rescued.task_id,
        "type": rescued.type,
        "state": rescued.state,
        "lease_ended_at": rescued.lease_until.isoformat(),
        "worker": rescued.worker,
        "attempt": rescued.attempt,
        "crashes": rescued.crashes,
        "why": rescued.why,
    }


def cancel_stale(progress: Progress, conn: psycopg.Connection, *, current: str, since: datetime) -> None:
    """Embeddings that nobody needs, waiting ones and those of the failed that would get another round."""
    reasons: Counter[str] = Counter()

    def cancel(task_ids: Sequence[int]) -> None:
        for batch in _batches(task_ids[: MOST_STALE - reasons.total()], STALE_BATCH):
            progress.run.stop.check()
            with progress.batch(conn) as made:
                cancelled = stale.cancel(conn, batch, current=current)
                made["stale_cancelled"] = len(cancelled)
            reasons.update(cancelled)

    cancel(stale.failed(conn, since=since, current=current))
    place: stale.Place | None = stale.START
    while place is not None and reasons.total() < MOST_STALE:
        progress.run.stop.check()
        page = stale.waiting(conn, after=place, current=current, size=STALE_PAGE)
        cancel(page.suspects)
        place = page.end
    if reasons:
        progress.run.event("stale_cancelled", tasks=reasons.total(), reasons=dict(reasons))
        said = "; ".join(f"{number:,}: {reason}" for reason, number in reasons.most_common(3))
        progress.notes.append(f"{reasons.total():,} embeddings are needed no more ({said})")


def look(
    progress: Progress, conn: psycopg.Connection, queue: QueueSettings, types: Sequence[str] | None
) -> tuple[list[TypeTries], list[Cause]]:
    """How tries ended in the last hour, and what of it somebody must hear of."""
    until = failures.now(conn)
    rates = failures.tries_by_type(conn, until=until, types=types)
    failing = failures.failing_in_last_hour(conn, until=until, types=types)
    found = causes(failing, rates, most_failures=queue.alert_failures_per_hour)
    progress.counts["failures_last_hour"] = sum(each.tasks for each in failing)
    return rates, found


class Round(NamedTuple):
    """Which failed tasks are asked for. With `reset_attempts` an operator gives all of them a whole new budget, now."""

    queue: QueueSettings
    since: datetime
    types: Sequence[str] | None
    reset_attempts: bool

    @property
    def budget(self) -> Budget:
        if self.reset_attempts:
            return Budget(self.since, {}, requeuing.WITHOUT_END)
        allowed = {
            type_: rounds.tries_allowed(policy.max_attempts, policy.retry_rounds)
            for type_, policy in self.queue.types.items()
        }
        defaults = self.queue.defaults
        return Budget(self.since, allowed, rounds.tries_allowed(defaults.max_attempts, defaults.retry_rounds))


def requeue(
    progress: Progress,
    conn: psycopg.Connection,
    round_: Round,
    rates: Sequence[TypeTries] | None,
    draw: Callable[[], float],
) -> None:
    """Another round for failed tasks that have one left. Without `rates` each type is taken to be down."""
    budget = round_.budget
    failed = requeuing.count_candidates(conn, budget, types=round_.types)
    down: set[str] = set()
    if not round_.reset_attempts:
        up_or_down = {rate.type: is_down(rate, round_.queue.policy_of(rate.type).down_share) for rate in rates or ()}
        down = {type_ for type_ in failed if up_or_down.get(type_, rates is None)}
    quotas = rounds.quotas(failed, down, MOST_REQUEUED)
    chosen = requeuing.candidates(conn, budget, quotas)
    delays = [0.0] * len(chosen)
    if not round_.reset_attempts:
        delays = rounds.delays([each.type for each in chosen], down, [draw() for _ in chosen])
    waits = dict(zip((each.task_id for each in chosen), delays, strict=True))
    done: list[Requeued] = []
    for batch in _batches(list(waits), REQUEUE_BATCH):
        progress.run.stop.check()
        done += _requeue_batch(
            progress, conn, {task_id: waits[task_id] for task_id in batch}, all_forgiven=round_.reset_attempts
        )
    for type_ in sorted(down):
        withheld = failed[type_] - quotas[type_]
        if not withheld:
            continue
        progress.counts["withheld"] += withheld
        progress.run.event("type_is_down", level="warning", type=type_, probes=quotas[type_], withheld=withheld)
        progress.notes.append(
            f"most tries of {type_} fail: {quotas[type_]:,} sent to see, {withheld:,} wait until it is better"
        )
    left = sum(failed.values()) - sum(quotas.values()) - progress.counts["withheld"]
    if left:
        progress.notes.append(f"{left:,} more failed tasks have their round with the next runs")
    if done:
        queued = Counter(each.type for each in done if each.is_queued)
        progress.run.event("requeued", tasks=queued.total(), types=dict(queued), superseded=len(done) - queued.total())


def requeue_as_told(progress: Progress, conn: psycopg.Connection, task_ids: Sequence[int]) -> None:
    """These tasks, at once, with a whole new budget, whatever their error was."""
    done: list[Requeued] = []
    for batch in _batches(sorted(set(task_ids)), REQUEUE_BATCH):
        progress.run.stop.check()
        done += _requeue_batch(progress, conn, dict.fromkeys(batch, 0.0), all_forgiven=True, by_hand=True)
    for each in done:
        became = "queued" if each.is_queued else "cancelled"
        progress.run.event("requeued_by_hand", task_id=each.task_id, type=each.type, state=became)
        if not each.is_queued:
            progress.notes.append(f"task {each.task_id} is cancelled: a newer request for the same waits already")
    left = sorted({*task_ids} - {each.task_id for each in done})
    states = requeuing.states(conn, left)
    for task_id in left:
        progress.is_incomplete = True
        state = states.get(task_id)
        why = (
            "there is none" if state is None else "another session holds it" if state == "failed" else f"it is {state}"
        )
        progress.notes.append(f"task {task_id} was not requeued: {why}")


def _requeue_batch(
    progress: Progress,
    conn: psycopg.Connection,
    delays_s: dict[int, float],
    *,
    all_forgiven: bool,
    by_hand: bool = False,
) -> list[Requeued]:
    """Once more when a twin was enqueued in the same moment, or two writers met."""
    for nth in range(1, MOST_TRIES + 1):
        try:
            with progress.batch(conn) as made:
                done = requeuing.requeue(conn, delays_s, all_forgiven=all_forgiven, by_hand=by_hand)
                made["requeued"] = sum(each.is_queued for each in done)
                made["superseded"] = len(done) - made["requeued"]
            return done
        except psycopg.Error as error:
            met = isinstance(error, psycopg.errors.UniqueViolation) or is_conflict(error)
            if not met or nth == MOST_TRIES:
                raise
    raise AssertionError("the last try returns or raises")


def alert(
    progress: Progress, conn: psycopg.Connection, found: Sequence[Cause], alerts: AlertSettings, *, is_whole: bool
) -> None:
    """Each cause becomes an incident, or is seen again; those of a look at the whole queue that are gone are over."""
    for cause in found:
        progress.run.event("failures_found", level="warning", cause=cause.name, about=cause.about, said=cause.message)
    verdicts = [
        verdict
        for cause in found
        for verdict in of_queue_cause(
            cause.name, cause.about, cause.message, cause.hint, alerts.conditions, clock.utc_now()
        )
    ]
    with progress.batch(conn) as made:
        progress.run.tell(conn, verdicts, looked_at=OF_QUEUE_CAUSES if is_whole else ())
        made["alerts"] = len(found)


def prune(
    progress: Progress,
    conn: psycopg.Connection,
    cutoffs: Cutoffs,
    types: Sequence[str] | None,
    *,
    until: float,
    tries_stay: bool,
) -> None:
    """Window by window, each a transaction of its own."""
    after, pruned = 0, 0
    while True:
        progress.run.stop.check()
        if clock.monotonic() > until:
            progress.notes.append("there is more to prune; the next run goes on")
            break
        with progress.batch(conn, wait_for_disk=False) as made:
            window = pruning.prune(conn, cutoffs, after=after, size=PRUNE_WINDOW, types=types, tries_stay=tries_stay)
            made["pruned"], made["pruned_attempts"] = window.tasks, window.tries
        pruned += window.tasks
        if window.last is None or window.is_last(cutoffs, PRUNE_WINDOW):
            break
        after = window.last
    if pruned:
        progress.run.event("pruned", tasks=pruned, attempts=progress.counts["pruned_attempts"])


def _batches(task_ids: Sequence[int], size: int) -> list[Sequence[int]]:
    return [task_ids[start : start + size] for start in range(0, len(task_ids), size)]
