"""A run beside its like, by the hand-worked examples of docs/alerts.md: the page's numbers are read from it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_page import rows
from jobctl.alerts import anomalies, causes, same_hour
from jobctl.alerts.anomalies import DURATION, ERRORS, LEAST_SPREAD, Past
from jobctl.alerts.conditions.run_fact import RunFact
from jobctl.alerts.usual import median, usual
from jobctl.settings_alerts import AlertSettings, read_alerts
from jobctl.settings_conditions import ConditionSettings

PAGE: Final = "alerts.md"
BERLIN: Final = ZoneInfo("Europe/Berlin")
MONDAY: Final = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
DEFAULTS: Final = AlertSettings().conditions
TOLD: Final = {"yes": True, "no": False, "as before": None}
Row = dict[str, str]


def parametrize(heading: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows(PAGE, heading), ids=lambda row: " ".join(row.values())[:60])


def numbers(text: str) -> list[float]:
    return [float(each) for each in text.split(",") if each.strip()]


@parametrize("Median and spread")
def test_median_and_spread(row: Row) -> None:
    values = numbers(row["values"])
    found = usual([(True, value) for value in values], at_least=8, least_spread=LEAST_SPREAD[DURATION])
    assert found is not None and found.median == float(row["median"])
    assert found.spread == pytest.approx(float(row["spread"]), abs=1e-9)
    assert median([abs(value - found.median) for value in values]) == float(row["MAD"])


@parametrize("Weekday and hour")
def test_the_hours_that_are_like_a_run(row: Row) -> None:
    at, zone = datetime.fromisoformat(row["a run began"]), ZoneInfo(row["zone"])
    day = date.fromisoformat(row["day"])
    found = [hour for hour in same_hour.before(at, zone, 12) if hour.starts_at.astimezone(zone).date() == day]
    bounds = [datetime.fromisoformat(row[name]) for name in ("its like began from", "to before") if row[name]]
    assert [moment for hour in found for moment in hour] == bounds


ZONES: Final = ("UTC", "Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe")
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))  # noqa: DTZ001


@given(zones, moments, moments)
def test_a_moment_is_within_the_hours_of_another_when_the_clock_shows_the_same_hour(
    zone: ZoneInfo, now: datetime, past: datetime
) -> None:
    past = now - (past - now) % timedelta(days=14)
    is_in = any(hour.starts_at <= past < hour.ends_at for hour in same_hour.before(now, zone, 3))
    is_earlier_day = past.astimezone(zone).date() < now.astimezone(zone).date()
    assert is_in == (is_earlier_day and past.astimezone(zone).hour == now.astimezone(zone).hour)


def run(condition: str, value: float, at: datetime) -> RunFact:
    """Of the condition's value, and in all else like any other."""
    read = round(value) if condition == "anomaly-rows" else 5_000
    rejected = round(value * 5_000) if condition == ERRORS else 0
    took_ms = round(value * 1000) if condition == DURATION else 100_000
    counts = {"read": read, "rejected": rejected}
    return RunFact(UUID(int=1), "completed", False, 0, "vm1", at, at + timedelta(hours=1), took_ms, counts, ())


def past(condition: str, values: list[float], days: Iterator[int]) -> list[Past]:
    runs = [run(condition, value, MONDAY - timedelta(days=ago)) for value, ago in zip(values, days, strict=False)]
    return [Past(each.started_at, each.duration_ms, each.counts) for each in runs]


@parametrize("What is told")
def test_what_is_told(row: Row) -> None:
    condition = row["condition"]
    known = past(condition, numbers(row["Mondays"]), iter(range(7, 7 * 12 + 1, 7)))
    known += past(condition, numbers(row["other days"]), (day for day in range(1, 80) if day % 7))
    last = run(condition, float(row["the run"]), MONDAY)
    verdicts = anomalies.of_run(last, known, "ingest-branch", "places", DEFAULTS, BERLIN)
    found = [each for each in verdicts if each.condition == condition]
    if row["told"] == "nothing":
        assert found == []
        return
    (verdict,) = found
    assert verdict.is_firing is TOLD[row["told"]]
    if row["in words"]:
        assert verdict.title.removeprefix("ingest-branch places").removeprefix(": ").strip() == row["in words"]
        assert verdict.facts[0][0] == "anomaly" and "than usual" in verdict.facts[0][1]


def test_only_what_is_on_and_no_trifle_reads_the_past_and_only_as_much_as_it_needs() -> None:
    def weeks(job: str, last: RunFact, **tables: Mapping[str, object]) -> float:
        return anomalies.weeks_wanted(last, job, "", read_alerts({"conditions": tables}).conditions)

    off = {"enabled": False}
    long, short = run(DURATION, 900, MONDAY), run(DURATION, 54, MONDAY)
    assert weeks("metrics", long) == 12 and weeks("metrics", short) == 0 and weeks("retry-failed", long) == 0
    assert weeks("metrics", long, **{DURATION: off}) == 0, "it has neither rows nor failures"
    assert weeks("ingest-branch", short) == 12, "its rows may be few"
    tasks = long._replace(counts={"claimed": 100, "failed": 5})
    assert weeks("work", tasks) == 12 and weeks("work", tasks._replace(counts={"claimed": 100, "failed": 4})) == 0
    assert weeks("work", tasks, **{ERRORS: {"jobs": {"work": 0}}}) == 0
    assert weeks("metrics", long, **{DURATION: {"weeks": 20}, ERRORS: off}) == 20


def test_a_trifle_ends_what_fired_without_being_compared() -> None:
    found = anomalies.of_run(run(DURATION, 54, MONDAY), [], "metrics", "", DEFAULTS, BERLIN)
    assert [(each.condition, each.is_firing) for each in found] == [(DURATION, False)]


def test_each_condition_has_its_own_weeks() -> None:
    known = past(DURATION, [100.0] * 8, iter(range(7, 57, 7)))
    last = run(DURATION, 900, MONDAY)

    def judged(weeks: float) -> list[str]:
        table = {DURATION: {"weeks": weeks}, "anomaly-rows": {"weeks": 12}}
        found = read_alerts({"conditions": table}).conditions
        return [each.condition for each in anomalies.of_run(last, known, "sync", "", found, BERLIN) if each.is_firing]

    assert judged(8) == [DURATION] and judged(7) == []


def test_what_makes_a_run_slow_has_one_cause_with_its_other_limits_and_what_fails_of_it_with_its_degradation() -> None:
    known = past(ERRORS, [0.0] * 8, iter(range(7, 57, 7)))
    last = run(ERRORS, 0.5, MONDAY)._replace(duration_ms=9_000_000)
    found = {each.condition: each for each in anomalies.of_run(last, known, "ingest-branch", "a", DEFAULTS, BERLIN)}
    assert found[DURATION].cause == causes.own("slow", "ingest-branch", "a")
    assert found[ERRORS].cause == causes.cause_of(None, "ingest-branch", "a")
    assert found[DURATION].severity == "warning" and found[DURATION].page == "run-unusual"


def test_less_than_three_runs_are_no_history_whatever_the_settings_say() -> None:
    one = {**DEFAULTS, DURATION: ConditionSettings(thresholds={"score": 5, "least_s": 60, "runs": 0, "weeks": 0})}
    last = run(DURATION, 900, MONDAY)
    two = past(DURATION, [100, 100], iter([7, 6]))
    assert anomalies.of_run(last, two, "metrics", "", one, BERLIN) == []
