"""Each change of a project's health is one event, however often it is looked for and wherever it is cut off."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from bench_archive import Archiver
from bench_metrics import Repositories
from jobctl.db.connection import Database
from jobctl.jobs.report import health_events
from jobctl.jobs.report.health_events import Checked
from jobctl.service_levels import bands, health

TODAY = date(2026, 11, 30)
BY_BAND: dict[str, dict[str, float | None]] = {
    "healthy": {each.name: each.good for each in health.INPUTS},
    "critical": {each.name: each.bad for each in health.INPUTS},
    "unknown": {},
}


class Checks:
    def __init__(self, database: Database, conn: psycopg.Connection) -> None:
        self.conn = conn
        self._archiver = Archiver(database, conn, Path("/nonexistent"))

    def day(self, project_id: int, band: str, day: date = TODAY) -> None:
        facts = BY_BAND[band]
        found = health.judge(facts)
        assert found.band == band
        self.conn.execute("INSERT INTO dev.metric_rules (version, rules) VALUES ('1', '{}') ON CONFLICT DO NOTHING")
        self.conn.execute(
            "INSERT INTO dev.project_days AS d (project_id, day, computed_at, rules_version, facts, health_version,"
            " health, band) VALUES (%s, %s, now(), '1', %s, %s, %s, %s) ON CONFLICT (project_id, day) DO UPDATE"
            " SET facts = excluded.facts, health = excluded.health, band = excluded.band",
            (project_id, day, Jsonb(facts), found.version, found.score, band),
        )

    def __call__(self, today: date = TODAY, *, dry_run: bool = False) -> Checked:
        with self._archiver.run(dry_run=dry_run) as run:
            return health_events.note_changes(self.conn, run, today=today)

    def events(self) -> list[dict[str, Any]]:
        rows = self.conn.execute(
            "SELECT fields || jsonb_build_object('level', level) FROM ops.sync_events"
            " WHERE event = 'project_health_changed' ORDER BY event_id"
        ).fetchall()
        return [row[0] for row in rows]


@pytest.fixture
def checks(database: Database, conn: psycopg.Connection) -> Checks:
    return Checks(database, conn)


def test_a_change_is_told_once_with_bands_scores_and_reasons(checks: Checks) -> None:
    repositories = Repositories(checks.conn)
    cat, dog, gone = (repositories.project(name) for name in ("octo/cat", "octo/dog", "octo/gone"))
    repositories.project("octo/never-synced")
    for project in (cat, dog, gone):
        checks.day(project, "healthy", TODAY - timedelta(days=3))
    first = checks()
    assert first.counts["health_checked"] == 3 and not first.changes and not checks.events()
    assert first.bands == {"healthy": 3, "warning": 0, "critical": 0, "unknown": 0}

    checks.day(cat, "critical")
    checks.day(dog, "unknown")
    checks.day(gone, "critical", TODAY - timedelta(days=4))  # too long ago to say anything of now
    foreseen = checks(dry_run=True)
    assert not checks.events()
    second = checks()
    assert second == foreseen and [each.project for each in second.changes] == ["octo/cat", "octo/dog"]
    assert checks().changes == ()
    told = checks.events()
    assert [(each["project"], each["from_band"], each["to_band"], each["level"]) for each in told] == [
        ("octo/cat", "healthy", "critical", "warning"),
        ("octo/dog", "healthy", "unknown", "info"),
    ]
    assert (told[0]["from_score"], told[0]["to_score"], len(told[0]["reasons"])) == (100, 0, 3)

    checks.day(cat, "healthy", TODAY + timedelta(days=1))
    checks.conn.execute("UPDATE dev.projects SET active = false WHERE project_id = %s", (dog,))
    third = checks(TODAY + timedelta(days=1))
    assert [(each.project, each.direction) for each in third.changes] == [("octo/cat", "up")]
    assert third.counts["health_checked"] == 1 and len(checks.events()) == 3


def test_a_check_that_is_cut_off_tells_nothing_twice_and_leaves_nothing_out(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    repositories = Repositories(checks.conn)
    projects = [repositories.project(f"octo/{name}") for name in "abcd"]
    for project in projects:
        checks.day(project, "healthy")
    checks()
    for project in projects:
        checks.day(project, "critical")
    monkeypatch.setattr(health_events, "PAGE", 1)
    keep, kept = bands.keep, 0

    def dies(*arguments: Any, **options: Any) -> int:
        nonlocal kept
        kept += 1
        if kept == 3:
            raise KeyboardInterrupt
        return keep(*arguments, **options)

    monkeypatch.setattr(bands, "keep", dies)
    with pytest.raises(KeyboardInterrupt):
        checks()
    assert len(checks.events()) == 2
    assert [each.project for each in checks().changes] == ["octo/c", "octo/d"]
    assert sorted(each["project"] for each in checks.events()) == ["octo/a", "octo/b", "octo/c", "octo/d"]
