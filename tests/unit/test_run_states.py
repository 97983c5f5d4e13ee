"""What a run's row means, how its like went before, health and promises: the pure half of the monitor."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from jobctl.alerts.conditions.run_fact import ASKED_FOR
from jobctl.alerts.lifecycle import Alert, Incident
from jobctl.cli.spans import short
from jobctl.monitor.runs import course, health, slo, states
from jobctl.monitor.runs.course import Streak
from jobctl.monitor.runs.facts import Missed, Ran
from jobctl.monitor.runs.health import Told
from jobctl.monitor.runs.slo import Level, Promise, Tallies, Tally
from jobctl.schedule.expression import parse
from jobctl.settings_alerts import AlertSettings, read_alerts
from jobctl.settings_conditions import Severity

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Pulse(NamedTuple):
    is_lock_held: bool = True
    silent_s: float = 1
    lease_s: int | None = 60


@pytest.mark.parametrize(
    ("pulse", "state"),
    [
        (Pulse(), "running"),
        (Pulse(silent_s=29), "running"),
        (Pulse(silent_s=30), "frozen"),
        (Pulse(silent_s=3_000, lease_s=None), "running"),
        (Pulse(is_lock_held=False, silent_s=0), "dead"),
        (Pulse(is_lock_held=False, silent_s=90), "dead"),
        (None, "dead"),
    ],
)
def test_a_row_that_says_running_is_believed_for_its_lock_and_its_beat(pulse: Pulse | None, state: str) -> None:
    assert states.of("running", pulse=pulse) == state


def test_a_run_that_has_ended_is_what_its_row_says() -> None:
    assert [states.of(each) for each in ("completed", "failed", "abandoned")] == ["completed", "failed", "abandoned"]
    assert states.of("completed", degraded=True) == "degraded"


def ran(status: str, took_s: float = 1, *, exit_code: int = 0) -> Ran:
    over = None if status == "running" else NOW
    took_ms = round(took_s * 1_000)
    return Ran(UUID(int=1), status, False, exit_code, "vm1", "0.1", None, NOW, over, took_ms, None, None)


def runs(text: str) -> list[Ran]:
    """The newest first: c completed, f failed, s skipped, a asked to end, k killed by a stranger's signal."""
    asked = min(ASKED_FOR)
    kinds = {
        "c": ran("completed"),
        "f": ran("failed", exit_code=1),
        "s": ran("skipped"),
        "a": ran("interrupted", exit_code=asked),
        "k": ran("interrupted", exit_code=137),
    }
    return [kinds[letter] for letter in text]


@pytest.mark.parametrize(
    ("text", "streak"),
    [
        ("", Streak(None, 0, False)),
        ("ssa", Streak(None, 0, False)),
        ("cccf", Streak("good", 3, False)),
        ("scsac", Streak("good", 2, False)),
        ("c" * 49 + "s", Streak("good", 49, True)),
        ("fkc", Streak("bad", 2, False)),
    ],
)
def test_a_streak_counts_neither_skipped_runs_nor_those_ended_on_purpose(text: str, streak: Streak) -> None:
    assert course.streak(runs(text)) == streak


def test_durations_are_of_completed_runs_and_a_trend_shows_the_others_as_gaps() -> None:
    took = [ran("completed", each) for each in (4, 2, 1, 3)]
    found = course.durations([ran("running"), *took[:2], ran("failed"), ran("skipped"), *took[2:]])
    assert (found.runs, found.p50_ms, found.p95_ms) == (4, 2_000, 4_000)
    assert found.last_ms == (3_000, 1_000, None, 2_000, 4_000)
    assert course.expected_end(NOW, found) == (NOW + timedelta(seconds=2), NOW + timedelta(seconds=4))
    assert course.expected_end(NOW, course.durations([ran("failed")])) == (None, None)


# Health --------------------------------------------------------------------------------------------------------------


def incident(
    severity: Severity = "critical", subject: str = "sync", condition: str = "run-failed", **more: Any
) -> Told:
    alerts = {(condition, subject): Alert("t", NOW, NOW)}
    made = Incident("cause", severity, "sync failed", (), "", NOW, NOW, timedelta(hours=6), alerts)
    return Told(7, made._replace(**more), "ann")


MISSED = Missed("sync", "", "vm9", NOW - timedelta(hours=1), "2026-06-01 11:00 UTC", 2, "nobody came", True)


def judged(*told: Told, missed: tuple[Missed, ...] = (), settings: AlertSettings | None = None) -> health.Health:
    return health.judge(told, (), missed, (settings or AlertSettings()).conditions, NOW)


def test_health_is_the_gravest_reason() -> None:
    assert judged() == health.Health("healthy", ())
    assert judged(incident("warning")).status == "warning"
    found = judged(incident("warning"), incident("critical"))
    assert (found.status, [each.severity for each in found.reasons]) == ("critical", ["critical", "warning"])


def test_what_somebody_has_taken_on_is_a_warning_at_the_most() -> None:
    acked = judged(incident(acked_at=NOW)).reasons[0]
    assert (acked.severity, acked.quiet) == ("warning", "acknowledged by ann")
    assert judged(incident(snoozed_until=NOW + timedelta(hours=1))).status == "warning"
    assert judged(incident(snoozed_until=NOW - timedelta(hours=1))).status == "critical"


def test_a_missed_slot_is_a_reason_by_its_condition_and_is_told_once() -> None:
    (reason,) = judged(missed=(MISSED,)).reasons
    assert (reason.severity, reason.code, reason.subject) == ("warning", "missed", "sync")
    assert "and 1 before it on vm9" in reason.text
    known = incident("warning", condition="missed-slot")
    assert [each.code for each in judged(known, missed=(MISSED,)).reasons] == ["incident"]
    graver = read_alerts({"conditions": {"missed-slot": {"severity": "critical"}}})
    assert judged(missed=(MISSED,), settings=graver).status == "critical"
    off = read_alerts({"conditions": {"missed-slot": {"enabled": False}}})
    assert judged(missed=(MISSED,), settings=off).status == "healthy"


# Promises ------------------------------------------------------------------------------------------------------------


def level(whole: Tally, long: Tally, short: Tally) -> Level:
    return Level(Promise("success", "", 0.99, "runs"), Tallies(whole, long, short))


def test_a_budget_is_what_may_be_bad_and_a_burn_rate_how_fast_it_goes() -> None:
    found = level(Tally(1_000, 4), Tally(100, 3), Tally(10, 0))
    assert (found.actual, found.budget_left) == (0.996, pytest.approx(0.6))
    assert (found.burn_long, found.burn_short, found.state) == (pytest.approx(3), 0, "met")
    assert level(Tally(1_000, 4), Tally(100, 3), Tally(10, 1)).state == "burning"
    broken = level(Tally(1_000, 20), Tally(100, 0), Tally())
    assert (broken.budget_left, broken.burn_short, broken.state) == (pytest.approx(-1), None, "missed")


def test_a_budget_spent_to_the_last_is_no_broken_promise() -> None:
    assert level(Tally(1_000, 10), Tally(), Tally()).state == "met"


def test_without_a_single_one_there_is_nothing_to_be_said() -> None:
    found = level(Tally(), Tally(), Tally())
    assert (found.actual, found.budget_left, found.burn_long, found.state) == (None, None, None, "no data")


@pytest.mark.parametrize(
    ("expression", "rhythm"),
    [
        ("*/5 * * * *", None),
        ("20 * * * *", "hourly"),
        ("0 */6 * * *", "hourly"),
        ("0 2 * * *", "daily"),
        ("30 1 * * 1-5", "daily"),
        ("0 9 * * 1", "weekly"),
        ("0 9 1 * *", None),
    ],
)
def test_the_rhythm_of_a_job_is_read_from_its_schedule(expression: str, rhythm: str | None) -> None:
    assert slo.rhythm(parse(expression), UTC, NOW) == rhythm


def test_spans_are_short() -> None:
    spans = {0: "0.0s", 3.26: "3.3s", 9.96: "10s", 99: "99s", 100: "2m", 5_000: "83m", 7_200: "2h", 172_800: "2d"}
    assert {seconds: short(seconds) for seconds in spans} == spans
