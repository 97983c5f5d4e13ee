"""Which projects a run is for."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from jobctl.jobs.sync.choosing import choose, due_at
from jobctl.projects.project import Project

BERLIN = ZoneInfo("Europe/Berlin")
THEN = datetime(2020, 1, 1, tzinfo=UTC)


def project(schedule: str | None, synced: str | None, name: str = "octo/cat") -> Project:
    synced_at = datetime.fromisoformat(synced) if synced else None
    return Project(
        1, "R_1", 1, name, None, "main", None, False, False, False, 0, THEN, None, "medium", None, None, schedule, True,
        THEN, THEN, synced_at, None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "synced", "now", "due_from"),
    [
        (None, "2026-11-30T01:05Z", "2026-11-30T01:06Z", None),
        ("@weekly", None, "2026-11-30T01:00Z", None),
        ("not a schedule", "2026-11-30T01:05Z", "2026-11-30T01:06Z", None),
        # Sunday midnight in Berlin is 23:00 on Saturday by UTC.
        ("@weekly", "2026-11-22T01:05Z", "2026-11-28T22:59Z", "2026-11-28T23:00Z"),
        ("@weekly", "2026-11-22T01:05Z", "2026-11-28T23:00Z", None),
        ("@weekly", "2026-11-22T01:05Z", "2026-12-24T01:00Z", None),  # nothing ran for weeks
        ("@weekly", "2026-11-29T01:05Z", "2026-11-30T01:00Z", "2026-12-05T23:00Z"),
        ("@daily", "2026-11-29T01:05Z", "2026-11-30T01:00Z", None),
        ("@hourly", "2026-11-30T01:05Z", "2026-11-30T02:00Z", None),
        ("@hourly", "2026-11-30T01:05Z", "2026-11-30T01:59Z", "2026-11-30T02:00Z"),
        ("0 2 * * 1-5", "2026-11-27T01:05Z", "2026-11-29T01:00Z", "2026-11-30T01:00Z"),
        # The clock is put back: 02:30 comes twice, and is one moment.
        ("30 2 * * *", "2026-10-25T00:40Z", "2026-10-25T01:40Z", "2026-10-26T01:30Z"),
    ],
)
def test_a_project_is_due_when_its_moment_has_come_since_its_last_sync(
    schedule: str | None, synced: str | None, now: str, due_from: str | None
) -> None:
    found = due_at(project(schedule, synced), datetime.fromisoformat(now), BERLIN)
    assert found == (datetime.fromisoformat(due_from) if due_from else None)


def test_the_order_of_those_that_are_due_stays() -> None:
    now = datetime(2026, 11, 30, 1, 0, tzinfo=UTC)
    schedules = {"c": None, "a": "@weekly", "b": None}
    given = [project(schedule, "2026-11-29T01:05Z", name) for name, schedule in schedules.items()]
    chosen = choose(given, now, BERLIN)
    assert [[each.full_name for each in part] for part in chosen] == [["c", "b"], ["a"]]
