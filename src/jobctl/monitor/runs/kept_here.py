"""What this host knows of its jobs without the database: which are to start when, and which runs wait to be told of."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jobctl.schedule.installed import InstalledLine

ALERTS = "alerts.json"


class NextStart(NamedTuple):
    job: str
    scope: str
    next_at: datetime


class KeptHere(NamedTuple):
    """`runs` are those that wait in files, the oldest since `oldest_at`; `has_alerts`: incidents do, too."""

    runs: int
    oldest_at: datetime | None
    has_alerts: bool
    next: tuple[NextStart, ...]


def look(spool: Path, lines: list[InstalledLine], now: datetime) -> KeptHere:
    """Of a spool that is not there or may not be read there is nothing to tell."""
    moments: list[float] = []
    has_alerts = False
    with suppress(OSError):
        for path in spool.glob("*.json"):
            if path.name == ALERTS:
                has_alerts = True
                continue
            with suppress(FileNotFoundError):  # brought in since; the others still wait
                moments.append(path.stat().st_mtime)
    starts = [NextStart(line.job, line.scope, line.expression.next_after(now, ZoneInfo(line.zone))) for line in lines]
    oldest_at = datetime.fromtimestamp(min(moments), UTC) if moments else None
    return KeptHere(len(moments), oldest_at, has_alerts, tuple(sorted(starts, key=lambda start: start.next_at)))
