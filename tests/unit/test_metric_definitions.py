"""Each definition by the hand-worked examples of docs/metrics.md: the page's numbers are read from it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from bench_page import rows, section
from jobctl.service_levels import bugs, health, revenue, velocity
from jobctl.service_levels.bugs import SEVERITIES, Rules
from jobctl.service_levels.cycles import Goal, Pause, cycle
from jobctl.service_levels.public_holidays import free_days
from jobctl.service_levels.working_time import Calendar, WorkingTime

PAGE: Final = "metrics.md"
BERLIN: Final = ZoneInfo("Europe/Berlin")
OFFICE_DAY: Final = ((9 * 60, 17 * 60),)
CALENDARS: Final = {
    "office": Calendar(BERLIN, (*(OFFICE_DAY,) * 5, (), ()), free_days("DE")),
    "clock": Calendar.around_the_clock(BERLIN),
    "night": Calendar(BERLIN, (*((),) * 6, ((60, 240),))),
}
Row = dict[str, str]


def at(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def sure(text: str) -> datetime:
    return datetime.fromisoformat(text)


def number(text: str) -> float | None:
    return float(text) if text else None


def hours(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 3_600


def parametrize(heading: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows(PAGE, heading), ids=lambda row: " ".join(row.values())[:60])


@parametrize("Bugs")
def test_a_bug_its_severity_and_its_impact(row: Row) -> None:
    rules = Rules()
    labels = [label.strip() for label in row["labels"].split(",") if label.strip()]
    said = bugs.together(bugs.meaning(rules, label) for label in labels)
    assert said.is_bug == (row["bug"] == "yes")
    if said.is_bug:
        imported = Decimal(row["imported"]) if row["imported"] else None
        verdict = bugs.judge(rules, said.severity, said.impact, row["form field"] or None, imported)
        found = (SEVERITIES[verdict.severity], verdict.impact, verdict.impact_from)
        assert found == (row["severity"], Decimal(row["impact a day"]), row["from"])


@parametrize("Revenue at risk")
def test_revenue_and_its_trend(row: Row) -> None:
    before = Decimal(row["before"]) if row["before"] else None
    found = revenue.trend(Decimal(row["now"]), before)
    change = Decimal(row["change"]) if row["change"] else None
    assert found == (before, change, number(row["share"]))


@parametrize("Working time")
def test_working_time(row: Row) -> None:
    working = WorkingTime(CALENDARS[row["calendar"]])
    assert hours(working.between(sure(row["from"]), sure(row["to"]))) == number(row["hours"])


@parametrize("Cycles")
def test_cycles_of_a_goal(row: Row) -> None:
    pauses = [Pause(sure(start), at(end)) for start, _, end in [row["pause"].partition("/")] if start]
    found = cycle(
        WorkingTime(CALENDARS["office"]),
        Goal(8 * 3_600.0),
        sure(row["start"]),
        at(row["stop"]),
        sure(row["now"]),
        pauses,
    )
    assert (hours(found.elapsed_s), hours(found.remaining_s), found.breaches_at, found.state) == (
        number(row["elapsed h"]),
        number(row["remaining h"]),
        at(row["breaches at"]),
        row["state"],
    )
    assert found.is_paused == (row["case"] == "is paused")
    assert found.is_within_hours == (row["case"] not in ("over a weekend", "was paused"))


@parametrize("Stages")
def test_stages_of_a_pull_request(row: Row) -> None:
    found = velocity.stages(
        at(row["first commit"]), sure(row["opened"]), at(row["ready"]), at(row["first review"]), sure(row["merged"])
    )
    assert [hours(each) for each in found] == [
        number(row[f"{name} h"]) for name in ("coding", "pickup", "review", "cycle")
    ]


@parametrize("Median and p90")
def test_median_and_p90(row: Row) -> None:
    values = [float(each) for each in row["values"].split(",") if each]
    for share, name in ((0.5, "median"), (0.9, "p90")):
        found = velocity.quantile(values, share)
        assert (None if found is None else round(found, 9)) == number(row[name])


@parametrize("Weeks")
def test_bugs_resolved_a_week(row: Row) -> None:
    starts = velocity.week_starts(datetime(2026, 4, 1, 12, tzinfo=UTC), ZoneInfo("UTC"))
    assert starts[-2] == datetime(2026, 3, 23, tzinfo=UTC)
    resolved = [int(each) for each in row["resolved, oldest first"].split(",")]
    found = velocity.weekly(resolved, starts, sure(row["since"]))
    assert found == (number(row["median of 4"]), number(row["median of 12"]))


def test_weeks_begin_when_the_teams_clocks_say_so() -> None:
    starts = velocity.week_starts(datetime(2026, 4, 1, 12, tzinfo=UTC), BERLIN)
    told = section(PAGE, "Weeks")
    assert len(starts) == 13
    for each in (starts[0], starts[-1]):
        assert each.strftime("%Y-%m-%dT%H:%MZ") in told


def test_the_page_lists_each_input_of_the_health_as_it_is() -> None:
    told = [
        (row["input"], row["group"], int(row["weight"]), float(row["good"]), float(row["bad"]), row["what"])
        for row in rows(PAGE, "Health")
    ]
    assert told == [tuple(each) for each in health.INPUTS]
    assert f"thresholds is {health.VERSION}," in section(PAGE, "Health")
    assert {group: sum(each.weight for each in health.INPUTS if each.group == group) for group in health.Group} == (
        dict.fromkeys(health.Group, 25)
    )


def test_each_point_of_a_project_is_explained_and_they_add_up() -> None:
    told = rows(PAGE, "A project's points")
    found = health.judge({row["input"]: number(row["value"]) for row in told})
    assert [(part.input.name, part.won, part.lost) for part in found.parts] == [
        (row["input"], number(row["won"]), number(row["lost"])) for row in told
    ]
    won = round(sum(points for points, _ in health.by_group(found).values()), 2)
    assert f"Won are {won:g} of {found.known_weight} known points: {found.score}, {found.band}." in section(
        PAGE, "A project's points"
    )


@parametrize("Bands")
def test_each_score_has_one_band(row: Row) -> None:
    assert health.band_of(float(row["score"])) == row["band"]
