"""`jobctl status` while the database is away: why, and what this host alone knows."""

from typing import TYPE_CHECKING

from jobctl import clock
from jobctl.cli import render
from jobctl.cli.runs_views import name_of
from jobctl.cli.spans import short
from jobctl.cli.status_look import error_text
from jobctl.cli.status_object import away_json

if TYPE_CHECKING:
    from jobctl.errors import DatabaseUnavailable
    from jobctl.monitor.runs.kept_here import KeptHere
    from jobctl.settings import Settings

SHOWN_STARTS = 10


def look_here(settings: "Settings") -> "KeptHere":
    from jobctl.accounts import current_user
    from jobctl.monitor.runs import kept_here
    from jobctl.schedule.installed import read_installed

    return kept_here.look(settings.spool_dir, read_installed(current_user()), clock.utc_now())


def tell(settings: "Settings", away: "DatabaseUnavailable", *, as_json: bool) -> None:
    kept, text = look_here(settings), error_text(away)
    if as_json:
        told = {**kept._asdict(), "next": [each._asdict() for each in kept.next]}
        render.print_json(away_json(away, away.hint, clock.utc_now(), text, told))
        return
    render.note(f"jobctl: {text}" + (f" ({away.hint})" if away.hint else ""))
    for line in lines(kept):
        render.print_text(line)


def lines(kept: "KeptHere") -> list[str]:
    now = clock.utc_now()
    said = ["unknown: the database is away; this is what this host knows"]
    if kept.runs and kept.oldest_at is not None:
        age = short((now - kept.oldest_at).total_seconds())
        said.append(f"  {kept.runs} runs wait here to be told of, the oldest for {age}; the next run brings them in")
    if kept.has_alerts:
        said.append("  incidents wait here, too; they were told through the channels that are set up")
    for each in kept.next[:SHOWN_STARTS]:
        name = name_of(each.job, each.scope)
        said.append(f"  {name} starts in {short((each.next_at - now).total_seconds())} ({each.next_at:%a %H:%M} UTC)")
    if not kept.next:
        said.append("  no crontab or timer of this user starts a job here")
    return said
