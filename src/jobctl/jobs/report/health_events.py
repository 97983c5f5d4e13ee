"""The check of all projects' health: each band is compared with the one that was last told, and a change is an event.

It reads the last day that `jobctl metrics` kept of each project. The event and the band that is told from now on are
written in one transaction, so each change is told once, however often the check runs and wherever it is cut off. A
project that is met for the first time changes nothing: its band is what later ones are compared with.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final, NamedTuple

import psycopg

from jobctl import log
from jobctl.jobs.report.health_changes import Change, Judged, change, in_order
from jobctl.runtime import events
from jobctl.runtime.run import Run
from jobctl.service_levels import bands
from jobctl.service_levels.bands import Standing
from jobctl.service_levels.health import Band

LOG = log.get_logger()
EVENT: Final = "project_health_changed"
DAYS: Final = 3  # what was kept longer ago says nothing of now
PAGE: Final = 500
COUNTS: Final = ("health_checked", "health_up", "health_down", "health_lost", "health_found")


class Checked(NamedTuple):
    """`bands`: how many projects are in each; `changes` in the order in which a lead wants them."""

    counts: Mapping[str, int]
    bands: Mapping[str, int]
    changes: tuple[Change, ...]


def note_changes(conn: psycopg.Connection, run: Run, *, today: date) -> Checked:
    """`today` is the day in the team's zone. Opens transactions of its own."""
    found = bands.standings(conn, since=today - timedelta(days=DAYS))
    changes: list[Change] = []
    for start in range(0, len(found), PAGE):
        page = found[start : start + PAGE]
        run.stop.check()
        told = [each for each in map(_change, page) if each is not None]
        with run.effect(conn):
            for each in told:
                _tell(conn, run, each)
            bands.keep(conn, page, now=run.now)
        for each in told:
            say = LOG.warning if each.level == "warning" else LOG.info
            say(EVENT, **_fields(each))
        changes += told
    directions = Counter(f"health_{each.direction}" for each in changes)
    counts = {**{name: directions[name] for name in COUNTS}, "health_checked": len(found)}
    in_band = Counter(each.band for each in found)
    by_band = {band.value: in_band[band.value] for band in Band}
    return Checked(counts, by_band, tuple(in_order(changes)))


def _change(each: Standing) -> Change | None:
    if each.was_band is None or each.was_facts is None or each.was_version is None:
        return None
    was = Judged(each.was_band, each.was_health, each.was_version, each.was_facts)
    now = Judged(each.band, each.health, each.health_version, each.facts)
    return change(each.project_id, each.full_name, each.day, was, now)


def _tell(conn: psycopg.Connection, run: Run, each: Change) -> None:
    """In this transaction, and not by the run's own connection as other events: with the band or not at all."""
    if run.grant is not None:
        events.add(
            conn,
            run.identity,
            run.scope,
            each.level,
            EVENT,
            _fields(each),
            lock_key=run.grant.lock_key,
            fence=run.grant.fence,
        )


def _fields(each: Change) -> dict[str, object]:
    return {
        "project": each.project,
        "project_id": each.project_id,
        "day": each.day.isoformat(),
        "from_band": each.was,
        "to_band": each.band,
        "from_score": each.was_score,
        "to_score": each.score,
        "direction": each.direction,
        "reasons": list(each.reasons),
        "said": each.said,
    }
