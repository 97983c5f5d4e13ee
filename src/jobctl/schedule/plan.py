"""The one table of schedules: what runs when, and why then. Crontab, systemd timers and documents are made from it.

A team changes times, owners and catch-up in `jobctl.toml` (`[schedules.sync] at = "15 3 * * *"`); what it leaves out is
as here. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from jobctl.schedule.expression import Expression, parse

# What becomes of slots that were missed: nothing; one run for the latest, which covers those before it; a run for each.
CatchUp = Literal["none", "latest", "all"]


@dataclass(frozen=True, slots=True)
class JobSchedule:
    """One job's line. `options` are the words after the job's name; `cap` limits how many slots `all` catches up."""

    job: str
    at: Expression
    why: str
    options: Sequence[str] = ()
    owner: str = "jobctl operators"
    start_grace_s: int = 120
    catch_up: CatchUp = "none"
    cap: int = 24


PLAN: tuple[JobSchedule, ...] = (
    JobSchedule(
        "ingest-branch",
        parse("0 * * * *"),
        "On the hour: sources are loaded before it, and whoever reads items at ten past finds the last hour in them. "
        "It may take 55 minutes, so it has ended before the next begins.",
        options=("--max-runtime", "55m"),
        catch_up="latest",
    ),
    JobSchedule(
        "sync",
        parse("0 2 * * *"),
        "At night, when nobody spends the code host's quota by hand and the day's work is complete. Where the clocks "
        "change at 02:00 it runs at the end of the gap, and once in the repeated hour.",
        catch_up="latest",
    ),
    JobSchedule(
        "metrics",
        parse("20 * * * *"),
        "Twenty past: after ingest has usually ended, so that figures stand on this hour's rows.",
    ),
    JobSchedule(
        "report",
        parse("0 9 * * 1"),
        "Monday 09:00: in the mailbox when the week is planned, after the night's sync and the 08:20 metrics.",
        catch_up="latest",
    ),
    JobSchedule(
        "retry-failed",
        parse("40 * * * *"),
        "Twenty to: far from the hour's other starts, and what it requeues is worked off before the next ingest.",
    ),
    JobSchedule(
        "work",
        parse("*/5 * * * *"),
        "Each five minutes: the longest that a queued task waits for a worker. A worker that is still busy makes the "
        "next start a skip, which costs half a second.",
        options=("--max-runtime", "4m"),
    ),
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a team's settings say differently about one job; None leaves the plan's value."""

    at: Expression | None = None
    options: Sequence[str] | None = None
    owner: str | None = None
    start_grace_s: int | None = None
    catch_up: CatchUp | None = None
    cap: int | None = None


def planned(changes: Mapping[str, Change]) -> tuple[JobSchedule, ...]:
    """The plan with a team's changes."""
    return tuple(_changed(entry, changes.get(entry.job, Change())) for entry in PLAN)


def _changed(entry: JobSchedule, change: Change) -> JobSchedule:
    return replace(
        entry,
        at=change.at or entry.at,
        options=entry.options if change.options is None else change.options,
        owner=change.owner or entry.owner,
        start_grace_s=entry.start_grace_s if change.start_grace_s is None else change.start_grace_s,
        catch_up=change.catch_up or entry.catch_up,
        cap=entry.cap if change.cap is None else change.cap,
    )
