"""`jobctl status` on a terminal: one screen, from 80 columns on, that says in words what its colours say."""

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobctl.cli.render import printable
from jobctl.cli.runs_views import name_of
from jobctl.cli.spans import short, short_ms
from jobctl.cli.sparkline import sparkline

if TYPE_CHECKING:
    from jobctl.monitor.runs.facts import Missed
    from jobctl.monitor.runs.glance import BranchNow, Glance, RunningNow
    from jobctl.monitor.runs.health import Reason
    from jobctl.monitor.runs.jobs_now import JobNow

COLOURS: Final = {
    **dict.fromkeys(("healthy", "completed"), "green"),
    **dict.fromkeys(("warning", "degraded", "missed", "interrupted", "paused"), "yellow"),
    **dict.fromkeys(("critical", "failed", "timeout", "abandoned", "dead", "frozen", "unknown"), "bold red"),
    "running": "cyan",
    "skipped": "bright_black",
}
WELL: Final = frozenset({"completed", "skipped", "running", "pending", "paused", ""})
SHOWN_REASONS, SHOWN_SCOPES, SHOWN_RUNS, SHOWN_STALE = 10, 6, 10, 5
WIDE: Final = 120
NARROWEST_NAME, WIDTH_OF_REST, WIDTH_OF_REST_WIDE = 12, 59, 102
NARROWEST_TEXT: Final = 30


def screen(glance: "Glance", zone: str, *, width: int, blocks: bool = True, every: bool = False) -> Group:
    """`blocks`: the terminal can show them. `every` scope has a line of its own."""
    clock = ZoneInfo(zone)
    parts: list[RenderableType] = [_head(glance, clock)]
    parts += [_reason(reason, glance.as_of, width) for reason in glance.health.reasons[:SHOWN_REASONS]]
    left = len(glance.health.reasons) - SHOWN_REASONS
    if left > 0:
        parts.append(Text(f"  and {left} more: jobctl alerts list, jobctl status --json"))
    jobs = _jobs(glance, clock, width=width, blocks=blocks, every=every)
    if jobs is not None:
        parts += ["", jobs]
    else:
        parts.append(Text("Nothing has run yet, and nothing is installed that would: jobctl schedule install --help"))
    if glance.running:
        parts += ["", _running(glance.running, glance.as_of, clock, wide=width >= WIDE)]
    parts += ["", *_facts(glance, width)]
    return Group(*parts)


def can_show_blocks(encoding: str) -> bool:
    return encoding.lower().startswith("utf")


def word(state: str) -> Text:
    return Text(state, style=COLOURS.get(state, ""))


def table(*columns: str, right: Sequence[str] = (), folds: str | None = None, gap: int = 2) -> Table:
    """Without lines, so that a screen holds much; only the column `folds` may break."""
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold", show_edge=False)
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name != folds,
            overflow="fold" if name == folds else "ellipsis",
        )
    return made


def _head(glance: "Glance", clock: ZoneInfo) -> Text:
    count = len(glance.health.reasons)
    said = "" if not count else ", 1 reason" if count == 1 else f", {count} reasons"
    at = glance.as_of.astimezone(clock)
    return Text.assemble(word(glance.health.status), f"{said}  ", (f"{at:%Y-%m-%d %H:%M:%S %Z}", "bright_black"))


def _reason(reason: "Reason", as_of: datetime, width: int) -> Text:
    number = f"incident {reason.incident_id}, " if reason.incident_id is not None else ""
    about = f"{number}for {short((as_of - reason.since).total_seconds())}"
    about += f"; {reason.quiet}" if reason.quiet else ""
    return _paragraph(f"  {reason.severity:<8}  ", COLOURS[reason.severity], f"{reason.text} ({about})", width)


def _paragraph(head: str, style: str, text: str, width: int) -> Text:
    """The lines after the first are set in below it, and end where their words do."""
    room = max(NARROWEST_TEXT, width - len(head))
    lines = textwrap.wrap(printable(text), room, break_on_hyphens=False)
    return Text.assemble((head, style), ("\n" + " " * len(head)).join(lines))


# Jobs ----------------------------------------------------------------------------------------------------------------


def _jobs(glance: "Glance", clock: ZoneInfo, *, width: int, blocks: bool, every: bool) -> Table | None:
    if not glance.jobs:
        return None
    missed = {(each.job, each.scope): each for each in glance.missed}
    wide = width >= WIDE
    more = [*(["last runs"] if blocks else []), *(["host"] if wide else [])]
    made = table("job", "last", "ago", "next", "in a row", "p50/p95", *more, right=("ago", "next"))
    made.columns[0].max_width = max(NARROWEST_NAME, width - (WIDTH_OF_REST_WIDE if wide else WIDTH_OF_REST))
    for job, group in groupby(glance.jobs, key=lambda each: each.job):
        rows = [(each, each.state or ("paused" if each.pause else "")) for each in group]
        ailing = [row for row in rows if row[1] not in WELL]
        shown = rows if every or len(rows) <= SHOWN_SCOPES else ailing[:SHOWN_SCOPES]
        if len(rows) > 1:
            made.add_row(*_whole_job(job, rows, len(shown), len(ailing), glance.as_of))
        for each, state in shown:
            name = f"  {each.scope or '(whole)'}" if len(rows) > 1 else name_of(job, each.scope)
            made.add_row(*_job(name, each, state, missed, glance.as_of, clock, blocks=blocks, wide=wide))
    return made


def _job(
    name: str,
    job: "JobNow",
    state: str,
    missed: "dict[tuple[str, str], Missed]",
    as_of: datetime,
    clock: ZoneInfo,
    *,
    blocks: bool,
    wide: bool,
) -> Iterator[Text]:
    slot = (missed.get((job.job, job.scope)) or missed.get((job.job, ""))) if state == "missed" else None
    since = slot.slot_at if slot is not None else job.last.started_at if job.last is not None else None
    yield Text(printable(name))
    yield word(state or "never")
    yield Text(short((as_of - since).total_seconds()) if since is not None else "")
    yield Text("paused", style="yellow") if job.pause else Text(_next(job.next_at, as_of, clock, wide=wide))
    yield _streak(job)
    usual = job.durations
    yield Text(f"{short_ms(usual.p50_ms)}/{short_ms(usual.p95_ms)}" if usual.p50_ms is not None else "")
    if blocks:
        yield Text(sparkline(usual.last_ms if wide else usual.last_ms[-SHOWN_RUNS:]))
    if wide:
        yield Text(printable(job.last.host) if job.last is not None else "")


def _next(at: datetime | None, as_of: datetime, clock: ZoneInfo, *, wide: bool) -> str:
    if at is None:
        return "none"
    left = short((at - as_of).total_seconds())
    return f"in {left} ({at.astimezone(clock):%a %H:%M})" if wide else f"in {left}"


def _streak(job: "JobNow") -> Text:
    if job.streak.outcome is None:
        return Text("")
    more = "+" if job.streak.is_more else ""
    said = f"{job.streak.length}{more} {'ok' if job.streak.outcome == 'good' else 'bad'}"
    return Text(said, style="" if job.streak.outcome == "good" else "red")


def _whole_job(job: str, rows: "Sequence[tuple[JobNow, str]]", shown: int, ailing: int, as_of: datetime) -> list[Text]:
    """A job of several scopes: how many have no line of their own, and how they are."""
    hidden = len(rows) - shown
    said = f"{hidden} all well" if ailing <= shown else f"{hidden} more"
    last = max((each.last.started_at for each, _ in rows if each.last is not None), default=None)
    next_at = min((each.next_at for each, _ in rows if each.next_at is not None), default=None)
    cells = [job, said if hidden else "", short((as_of - last).total_seconds()) if last is not None else ""]
    cells.append(f"in {short((next_at - as_of).total_seconds())}" if next_at is not None else "")
    return [Text(printable(cell)) for cell in cells]


# What runs, and the rest ---------------------------------------------------------------------------------------------


def _running(running: "Sequence[RunningNow]", as_of: datetime, clock: ZoneInfo, *, wide: bool) -> Table:
    made = table("running now", "", "for", "ends", "done so far", "where", right=("for",))
    for now in running:
        run = now.run
        made.add_row(
            Text(printable(name_of(run.job, run.scope))),
            word(run.state),
            Text(short(run.elapsed_s)),
            Text(_end(now, as_of, clock)),
            Text(
                ", ".join(
                    [f"{name} {count:,}" for name, count in (run.progress or {}).items() if count][: 4 if wide else 1]
                )
            ),
            Text(printable(f"{run.host} pid {run.worker_pid}" if wide else run.host)),
        )
    return made


def _end(now: "RunningNow", as_of: datetime, clock: ZoneInfo) -> str:
    """Half of its like end by the first time, nearly all by the second."""
    if now.run.state == "dead":
        return ""
    if now.expected_end_at is None or now.latest_end_at is None:
        return "?"
    if as_of > now.latest_end_at:
        return f"late by {short((as_of - now.latest_end_at).total_seconds())}"
    first, last = (f"{at.astimezone(clock):%H:%M}" for at in (max(now.expected_end_at, as_of), now.latest_end_at))
    return first if first == last else f"{first}-{last}"


def _facts(glance: "Glance", width: int) -> Iterator[Text]:
    told = {"queue": _queue(glance)}
    if glance.branches:
        told["branches"] = _branches(glance)
    if glance.projects.projects:
        told["projects"] = _projects(glance)
    for name, text in told.items():
        yield _paragraph(f"{name:<{max(map(len, told))}}  ", "bold", text, width)


def _queue(glance: "Glance") -> str:
    queue = glance.queue
    due = sum(each.due for each in queue.due)
    said = [f"{due:,} due" if due else "nothing is due"]
    if due:
        types = ", ".join(f"{each.type} {each.due:,}" for each in queue.due[:SHOWN_STALE])
        said = [f"{due:,} due ({types}), the first for {short(max(each.oldest_s for each in queue.due))}"]
    said.append(f"{queue.running:,} running")
    if queue.failed:
        said.append(f"{queue.failed:,} failed in the last day")
    return "; ".join(said)


def _branches(glance: "Glance") -> str:
    stale = [each for each in glance.branches if each.is_stale]
    never = [each.branch for each in glance.branches if each.age_s is None]
    judged = [each for each in glance.branches if each.expected_freshness_s is not None and each.age_s is not None]
    oldest = max((each.age_s for each in glance.branches if each.age_s is not None), default=None)
    said = [f"{len(judged) - len(stale)} of {len(judged)} fresh" if judged else f"{len(glance.branches)} active"]
    if oldest is not None and not stale:
        said.append(f"the oldest was loaded {short(oldest)} ago")
    said += [_stale(each) for each in stale[:SHOWN_STALE]]
    if len(stale) > SHOWN_STALE:
        said.append(f"and {len(stale) - SHOWN_STALE} more")
    if never:
        said.append(f"never loaded: {', '.join(never[:SHOWN_STALE])}")
    return "; ".join(said)


def _stale(each: "BranchNow") -> str:
    age, expected = short(each.age_s or 0), short(each.expected_freshness_s or 0)
    return f"{each.branch} was loaded {age} ago, expected each {expected}"


def _projects(glance: "Glance") -> str:
    projects = glance.projects
    said = [f"{projects.projects:,} followed"]
    if projects.oldest_s is not None:
        said.append(f"the oldest was synced {short(projects.oldest_s)} ago")
    if projects.never_synced:
        said.append(f"{projects.never_synced:,} never")
    said += [
        f"{count:,} {name}" for name, count in sorted(projects.outcomes.items()) if name not in ("ok", "unchanged")
    ]
    return "; ".join(said)
