"""What insights conclude, from facts whose answer is known: and that they say nothing where there is not enough."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from jobctl.monitor.insights import batches, failing, load, overlapping, storage
from jobctl.monitor.insights.batches import Ingest
from jobctl.monitor.insights.failing import Rejected, Retried
from jobctl.monitor.insights.finding import Finding, ordered
from jobctl.monitor.insights.load import Backlog, Hour, Limits
from jobctl.monitor.insights.overlapping import Starts
from jobctl.monitor.insights.slower import Done, slower
from jobctl.monitor.insights.storage import Index, Snapshot, Table
from jobctl.monitor.queue.patterns import Pattern

FIRST = datetime(2026, 6, 1, tzinfo=UTC)


def runs(*parts: tuple[int, float, str], seed: int = 7, amounts: tuple[int, ...] = ()) -> list[Done]:
    """Parts of (number, seconds, version), an hour apart, each within a tenth of its seconds."""
    chance = random.Random(seed)
    made: list[Done] = []
    for nth, (number, seconds, version) in enumerate(parts):
        for _ in range(number):
            at = FIRST + timedelta(hours=len(made))
            amount = amounts[nth] if amounts else None
            made.append(Done(at, seconds * chance.uniform(0.9, 1.1), version, amount))
    return made


# Slower --------------------------------------------------------------------------------------------------------------


def test_a_slower_job_is_told_since_the_version_that_it_began_with() -> None:
    found = slower("sync", "", runs((60, 10, "1.4"), (20, 20, "1.5")))
    assert found is not None
    assert (found.code, found.severity, found.subject) == ("slower", "medium", "sync")
    evidence = found.evidence
    assert (evidence["version_before"], evidence["version"]) == ("1.4", "1.5")
    assert (evidence["runs_before"], evidence["runs_since"]) == (60, 20)
    assert evidence["since"] == FIRST + timedelta(hours=60)
    assert evidence["factor"] == pytest.approx(2.0, abs=0.1)
    assert "2026-06-03 12:00 UTC with version 1.5" in found.what


def test_the_version_is_not_blamed_where_it_changed_at_another_time() -> None:
    found = slower("sync", "", runs((30, 10, "1.4"), (30, 10, "1.5"), (20, 40, "1.5")))
    assert found is not None
    assert found.severity == "high"
    assert found.evidence["is_since_version"] is False
    assert "without a change of version" in found.what


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(runs((100, 10, "1")), id="steady"),
        pytest.param(runs((60, 20, "1"), (40, 10, "2")), id="faster"),
        pytest.param(runs((60, 10, "1"), (40, 13, "2")), id="a little slower"),
        pytest.param(runs((60, 10, "1"), (1, 900, "1"), (20, 10, "1")), id="one that hung"),
        pytest.param(runs((15, 10, "1"), (30, 30, "2")), id="too few before"),
        pytest.param(runs((40, 10, "1"), (3, 30, "2")), id="too few since"),
        pytest.param(runs((40, 10, "1"), (20, 30, "2"), (20, 10, "3")), id="slow for a while, and over"),
        pytest.param(runs((60, 0.1, "1"), (30, 0.4, "2")), id="too short to matter"),
    ],
)
def test_nothing_is_said_of(history: list[Done]) -> None:
    assert slower("sync", "", history) is None


def test_a_job_that_varies_much_must_change_by_more() -> None:
    chance = random.Random(3)
    wild = [Done(FIRST + timedelta(hours=n), chance.choice((5.0, 10.0, 30.0)), "1") for n in range(80)]
    assert slower("sync", "", [*wild, *runs((10, 18, "2"))]) is None


def test_more_work_is_told_as_what_it_is() -> None:
    found = slower("ingest-branch", "places", runs((50, 10, "1"), (20, 30, "1"), amounts=(1_000, 3_000)))
    assert found is not None
    assert (found.code, found.severity) == ("more-work", "low")
    assert found.evidence["work_factor"] == 3.0
    same_amount = slower("ingest-branch", "places", runs((50, 10, "1"), (20, 30, "1"), amounts=(1_000, 1_000)))
    assert same_amount is not None and same_amount.code == "slower"


# Schedules -----------------------------------------------------------------------------------------------------------


def test_starts_that_are_skipped_and_runs_that_fill_their_interval() -> None:
    found = overlapping.overlapping(Starts("sync", "", runs=40, skipped=10, p95_s=4_000, interval_s=3_600))
    assert found is not None
    assert (found.code, found.evidence["skipped_share"]) == ("overlapping", 0.2)
    assert "1h23m20s" in found.do  # 4,000 s are 80 % of it
    near = overlapping.overlapping(Starts("sync", "", runs=40, skipped=0, p95_s=3_200, interval_s=3_600))
    assert near is not None and near.code == "nearly-overlapping"


@pytest.mark.parametrize(
    "starts",
    [
        Starts("sync", "", runs=4, skipped=4, p95_s=4_000, interval_s=3_600),
        Starts("sync", "", runs=200, skipped=6, p95_s=100, interval_s=3_600),
        Starts("sync", "", runs=10, skipped=0, p95_s=3_500, interval_s=3_600),
        Starts("sync", "", runs=100, skipped=0, p95_s=3_500, interval_s=None),
        Starts("sync", "", runs=0, skipped=0, p95_s=None, interval_s=None),
    ],
)
def test_few_skips_and_short_runs_are_no_overlap(starts: Starts) -> None:
    assert overlapping.overlapping(starts) is None


# Failures ------------------------------------------------------------------------------------------------------------


def test_rejects_of_one_reason_are_told_with_their_share() -> None:
    found = failing.rejected(Rejected("places", "missing", "name", 80, 100, 100, "N"))
    assert found is not None
    assert found.evidence["share"] == 0.8
    assert "80 of 100 open rejects of places are missing in name" in found.what
    assert failing.rejected(Rejected("places", "missing", "name", 19, 19, 19, "")) is None
    assert failing.rejected(Rejected("places", "missing", "name", 30, 1_000, 1_000, "")) is None


def test_retries_that_never_help_are_told_and_others_are_not() -> None:
    found = failing.retry_never_helps(Retried("crawl", "NotFound", 60, 40, 0, 400.0))
    assert found is not None
    assert (found.subject, found.evidence["retried"], found.evidence["helped"]) == ("queue crawl", 40, 0)
    assert "docs/handlers.md" in found.do
    assert failing.retry_never_helps(Retried("crawl", "Timeout", 60, 40, 12, 400.0)) is None
    assert failing.retry_never_helps(Retried("crawl", "NotFound", 60, 19, 0, 400.0)) is None


def test_an_error_is_told_when_it_is_much_of_all_that_fails() -> None:
    patterns = [
        Pattern("HTTPError", "HTTP 503 from https://x/…", 80, ("crawl",), FIRST, FIRST, 9),
        Pattern("Boom", "N", 15, ("crawl", "embed"), FIRST, FIRST, 8),
        Pattern("Rare", "", 5, ("crawl",), FIRST, FIRST, 7),
    ]
    (found,) = failing.same_errors(patterns, "tasks")
    assert found.evidence["share"] == 0.8
    assert found.do == "jobctl queue show 9"
    assert not list(failing.same_errors(patterns[2:], "tasks"))


# Load ----------------------------------------------------------------------------------------------------------------

NO_LIMITS = Limits(None, 500, 2, None)


def hours(tries: int, busy_s: float, *, wait_s: float = 120, run_s: float = 1, users: int = 0, number: int = 3,
          all_busy_s: float | None = None) -> list[Hour]:  # fmt: skip
    return [Hour("crawl", tries, busy_s, wait_s, run_s, users, all_busy_s or busy_s)] * number


@pytest.mark.parametrize(
    ("limits", "seen", "binding", "do"),
    [
        (
            Limits(10, 500, 2, None),
            hours(35_000, 35_000),
            "the limit of 10 at once",
            "running = 15 below [queue.types.",
        ),
        (Limits(None, 500, 2, 60), hours(3_600, 3_600), "rate_per_minute = 60 holds", "rate_per_minute = 90 below"),
        (
            Limits(100, 20, 2, None),
            hours(9_000, 9_000, all_busy_s=70_000),
            "the limit of 20 of all",
            "running = 30 below",
        ),
        (Limits(None, 500, 2, None), hours(7_000, 7_000, users=1), "1 users with 2 at once", "per_user = 3"),
        (Limits(100, 500, 2, None), hours(7_000, 7_000), "no limit is near, 1.9 ran at once", "--concurrency 20"),
    ],
)
def test_what_held_the_queue_back(limits: Limits, seen: list[Hour], binding: str, do: str) -> None:
    found = load.throttled("crawl", seen, limits)
    assert found is not None
    assert binding in found.what
    assert do in found.do
    assert found.code == ("few-workers" if "no limit" in binding else "throttled")


def test_a_queue_that_does_not_wait_is_not_throttled() -> None:
    assert load.throttled("crawl", hours(35_000, 35_000, wait_s=5), Limits(10, 500, 2, None)) is None
    assert load.throttled("crawl", hours(35_000, 35_000, wait_s=60, run_s=50), Limits(10, 500, 2, None)) is None
    assert load.throttled("crawl", hours(50, 35_000), Limits(10, 500, 2, None)) is None
    assert load.throttled("crawl", hours(35_000, 35_000, number=1), Limits(10, 500, 2, None)) is None


def test_short_tasks_want_larger_batches() -> None:
    found = load.quick_tasks("embed", hours(50_000, 100, run_s=0.002))
    assert found is not None
    assert found.evidence["recommended"] == 500
    assert "--batch 500" in found.do
    assert load.quick_tasks("embed", hours(50_000, 100, run_s=0.5)) is None
    assert load.quick_tasks("embed", hours(1_000, 100, run_s=0.002)) is None


def test_a_backlog_is_told_with_the_time_it_points_to() -> None:
    day = 86_400.0
    found = load.backlog(Backlog("crawl", due=1_000, arrived=3_000, left=2_000, oldest_s=4_000, window_s=day))
    assert found is not None
    assert (found.severity, found.evidence["verdict"]) == ("medium", "growing")
    assert "; 1,000 more each day: twice as many in 1d" in found.what
    stalled = load.backlog(Backlog("crawl", due=60, arrived=60, left=0, oldest_s=4_000, window_s=day))
    assert stalled is not None and stalled.severity == "high"
    slow = load.backlog(Backlog("crawl", due=10_000, arrived=0, left=2_500, oldest_s=4_000, window_s=day))
    assert slow is not None and slow.severity == "low" and "none will be in 4d" in slow.what
    for small in (
        Backlog("crawl", due=1_000, arrived=3_000, left=0, oldest_s=600, window_s=day),
        Backlog("crawl", due=49, arrived=3_000, left=0, oldest_s=4_000, window_s=day),
        Backlog("crawl", due=1_000, arrived=0, left=40_000, oldest_s=4_000, window_s=day),
        Backlog("crawl", due=100, arrived=5_000, left=5_000, oldest_s=4_000, window_s=day),
    ):
        assert load.backlog(small) is None


# Batches, memory -----------------------------------------------------------------------------------------------------


def ingests(number: int, rate: float, command: str = "jobctl ingest-branch", *, read: int = 50_000,
            peak: int = 50 << 20) -> list[Ingest]:  # fmt: skip
    return [Ingest(command, read, rate, peak)] * number


def test_the_batch_size_that_was_faster_is_recommended() -> None:
    tried = ingests(6, 9_000, "jobctl ingest-branch --batch-size 20000 --branch places")
    found = batches.batch_size("places", [*ingests(10, 6_000), *tried], usual=5_000)
    assert found is not None
    assert (found.evidence["recommended"], found.evidence["gain"]) == (20_000, 1.5)
    assert found.do == "JOBCTL_BATCH_SIZE=20000"
    assert batches.batch_size("places", [*ingests(10, 6_000), *tried[:4]], usual=5_000) is None
    assert batches.batch_size("places", [*ingests(10, 8_500), *tried], usual=5_000) is None
    assert batches.batch_size("places", ingests(30, 6_000), usual=5_000) is None


def test_runs_at_the_memory_limit_are_told() -> None:
    limit = 120 << 20
    found = batches.memory("places", ingests(6, 1, peak=118 << 20), limit_bytes=limit)
    assert found is not None and "JOBCTL_MEMORY_LIMIT_MB=240" in found.do
    assert batches.memory("places", ingests(6, 1, peak=90 << 20), limit_bytes=limit) is None
    assert batches.memory("places", ingests(6, 1, peak=118 << 20, read=10), limit_bytes=limit) is None


# The server ----------------------------------------------------------------------------------------------------------


def test_bloat_and_who_holds_it() -> None:
    table = Table("queue.tasks", 400_000, 200_000, 1 << 30, 0, 0)
    found = storage.bloated(table, None)
    assert found is not None and found.evidence["share"] == 0.333
    assert found.do == "jobctl db psql -c 'VACUUM (ANALYZE) queue.tasks'"
    held = storage.bloated(table, Snapshot(4_000, "report", 7))
    assert held is not None and "before report ends" in held.what
    assert storage.bloated(table._replace(dead=90_000), None) is None
    assert storage.bloated(table._replace(rows=2_000_000), None) is None


def test_an_old_snapshot_is_told_with_the_command_that_ends_it() -> None:
    found = storage.old_snapshot(Snapshot(7_200, "psql", 4711))
    assert found is not None
    assert found.severity == "high" and "pg_terminate_backend(4711)" in found.do
    assert storage.old_snapshot(Snapshot(599, "psql", 4711)) is None
    assert storage.old_snapshot(None) is None


def test_indexes_that_are_missing_or_unused() -> None:
    table = Table("ops.job_history", 1_000_000, 0, 1, seq_scans=480, seq_rows=480_000_000)
    found = storage.missing_index(table, 10.0)
    assert found is not None and found.evidence["seq_scans_per_day"] == 48.0
    assert storage.missing_index(table, 0.5) is None
    assert storage.missing_index(table, 30.0) is None
    assert storage.missing_index(table._replace(rows=5_000), 10.0) is None
    assert storage.missing_index(table._replace(seq_rows=48_000), 10.0) is None
    unused = Index("ops.by_note", "job_history", 100 << 20, 0, is_needed=False)
    assert storage.unused_index(unused, 20.0) is not None
    assert storage.unused_index(unused, 3.0) is None
    assert storage.unused_index(unused._replace(is_needed=True), 20.0) is None
    assert storage.unused_index(unused._replace(scans=1), 20.0) is None


def test_what_matters_most_comes_first() -> None:
    def made(severity: str, weight: float, subject: str) -> Finding:
        return Finding("c", severity, subject, "", {}, "", "", weight)  # pyright: ignore[reportArgumentType]

    given = [
        made("low", 9, "a"),
        made("high", 1, "b"),
        made("medium", 1, "c"),
        made("medium", 5, "d"),
        made("high", 1, "a"),
    ]
    assert [each.subject for each in ordered(given)] == ["a", "b", "d", "c", "a"]
