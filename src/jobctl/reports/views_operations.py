"""The sections on operations: records, queue and embeddings, the jobs' runs, incidents. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from jobctl.reports.links import Links, Source
from jobctl.reports.model import Branch, Embeddings, Queue, Report
from jobctl.reports.unread import noted, section
from jobctl.reports.view import Cell, Fact, Picture, Section, Table
from jobctl.reports.words import NOT_KNOWN, count, moment, more, percent, span, took

MOST_ROWS: Final = 10
ONLY_NOW: Final = f"{NOT_KNOWN} of a past week"


def operations(report: Report, links: Links, pictures: Mapping[str, Picture]) -> tuple[Section, ...]:
    return (
        section(report, _records(report, links), "branches"),
        noted(report, _queue(report, links), "queue", "embeddings"),
        section(report, _jobs(report, links, pictures), "jobs"),
        section(report, _incidents(report, links), "incidents"),
    )


def _records(report: Report, links: Links) -> Section:
    source = links.about("ingest")
    if not report.branches:
        return Section("Records", source.url, source.command, notes=("There is no branch.",))
    rows = tuple(
        (
            Cell(each.slug),
            Cell(_number(each.read), source.url),
            Cell(_number(each.changed), source.url),
            Cell(_rejected(each), source.url, "warn" if each.rejected else ""),
            Cell(_number(each.rejects_open), source.url, "warn" if each.rejects_open else ""),
            Cell(_age(each), None, "bad" if each.is_stale else ""),
        )
        for each in sorted(report.branches, key=lambda branch: (not branch.is_stale, -(branch.read or 0), branch.slug))
    )
    columns = ("branch", "read", "changed", "rejected", "rejects open", "last loaded")
    note = more(len(rows) - MOST_ROWS, "branches.csv")
    table = Table(columns, rows[:MOST_ROWS], frozenset(range(1, 6)), note, frozenset({2, 4}))
    return Section("Records", source.url, source.command, tables=(table,))


def _number(value: int | None) -> str:
    return NOT_KNOWN if value is None else f"{value:,}"


def _rejected(branch: Branch) -> str:
    share = f" ({percent(branch.reject_share)})" if branch.rejected and branch.reject_share is not None else ""
    return _number(branch.rejected) + share


def _age(branch: Branch) -> str:
    if branch.age_s is None:
        return "never"
    late = f", expected every {span(branch.expected_s)}" if branch.is_stale and branch.expected_s is not None else ""
    return f"{span(branch.age_s)} ago{late}"


def _queue(report: Report, links: Links) -> Section:
    source = links.about("queue")
    facts = () if "queue" in report.unread else _of_queue(report.queue, source)
    embeddings = () if "embeddings" in report.unread else (_embeddings(report.embeddings, links),)
    return Section("Queue and embeddings", source.url, source.command, (*facts, *embeddings))


def _of_queue(queue: Queue, source: Source) -> Sequence[Fact]:
    tried = f"{queue.succeeded:,} of {queue.tries:,} succeeded" if queue.tries else "none"
    facts = [
        Fact("Tries in the week", Cell(tried, source.url)),
        Fact("Tries that failed", Cell(f"{queue.failed:,}", source.url, "warn" if queue.failed else "")),
    ]
    if queue.due is None:
        facts.append(Fact("Due now", Cell(ONLY_NOW)))
    else:
        waits = f", the oldest for {span(queue.oldest_due_s)}" if queue.due and queue.oldest_due_s is not None else ""
        facts.append(Fact("Due now", Cell(f"{count(queue.due, 'task')}{waits}", source.url)))
    if queue.failed_tasks is not None:
        tone = "bad" if queue.failed_tasks else ""
        facts.append(Fact("Failed for good, now", Cell(count(queue.failed_tasks, "task"), source.url, tone)))
    return facts


def _embeddings(found: Embeddings | None, links: Links) -> Fact:
    pages = links.about("embeddings").url
    if found is None:
        return Fact("Embeddings", Cell(ONLY_NOW))
    if not found.items:
        return Fact("Embeddings", Cell("there are no items", pages))
    said = f"{found.embedded:,} of {count(found.items, 'item')} ({percent(found.embedded / found.items)})"
    left = {"pending": found.pending, "failed": found.failed, "stale": found.stale, "missing": found.missing}
    rest = ", ".join(f"{many:,} {name}" for name, many in left.items() if many)
    return Fact("Embeddings, now", Cell(said + (f"; {rest}" if rest else ""), pages, "bad" if found.failed else ""))


def _jobs(report: Report, links: Links, pictures: Mapping[str, Picture]) -> Section:
    source = links.about("jobs")
    if not report.jobs:
        return Section("Jobs", source.url, source.command, notes=("No run ended in this week.",))
    good, bad = report.runs
    is_met = report.success is not None and report.success >= report.success_goal
    met = "met" if is_met else "not met"
    goal = f"the goal of {percent(report.success_goal)} is {met}"
    said = f"{percent(report.success, 2)} of {count(good + bad, 'run')}; {goal}"
    facts = [Fact("Succeeded", Cell(said, source.url, "good" if is_met else "bad"))] if good + bad else []
    facts.append(Fact("Slots missed", Cell(f"{report.missed:,}", source.url, "bad" if report.missed else "")))
    rows = tuple(
        (
            Cell(job.name),
            Cell(percent(job.success), source.url, _tone(job.success, report.success_goal)),
            Cell(f"{job.bad:,} of {job.good + job.bad:,}"),
            Cell(f"{job.skipped:,}"),
            Cell(f"{job.missed:,}", None, "bad" if job.missed else ""),
            Cell(took(job.median_ms)),
            Cell(took(job.slowest_ms)),
        )
        for job in sorted(report.jobs, key=lambda job: (job.success is None, job.success or 0.0, job.name))
    )
    note = more(len(rows) - MOST_ROWS, "jobs.csv")
    columns = ("job", "succeeded", "failed", "skipped", "missed", "median", "slowest")
    table = Table(columns, rows[:MOST_ROWS], frozenset(range(1, 7)), note, frozenset({3, 5}))
    notes: list[str] = []
    if report.runs_kept_since is not None and report.runs_kept_since > report.week.start:
        since = moment(report.runs_kept_since, report.week.zone)
        notes.append(f"Runs are kept since {since}: of earlier ones some or all are in the archive, and not counted.")
    return Section("Jobs", source.url, source.command, tuple(facts), (table,), pictures.get("runs"), tuple(notes))


def _tone(share: float | None, goal: float) -> str:
    return "" if share is None else "good" if share >= goal else "bad"


def _incidents(report: Report, links: Links) -> Section:
    source = links.about("incidents")
    if not report.incidents.total:
        return Section("Incidents", source.url, source.command, notes=("No incident was open in this week.",))
    zone = report.week.zone
    rows = tuple(
        (
            Cell(each.title, source.url),
            Cell(each.severity, None, "bad" if each.severity == "critical" else "warn"),
            Cell(moment(each.opened_at, zone)),
            Cell(f"{span(each.lasted_s)}{', still open' if each.resolved_at is None else ''}"),
        )
        for each in report.incidents.shown[:MOST_ROWS]
    )
    note = more(report.incidents.total - len(rows), source.command)
    known = report.incidents
    whole = sum(each.lasted_s for each in known.shown)
    together = f"The first {len(known.shown)} together" if known.more else "Together"
    facts = (
        Fact("Open in this week", Cell(f"{report.incidents.total:,}", source.url)),
        Fact(together, Cell(span(whole), source.url)),
    )
    table = Table(("incident", "severity", "opened", "lasted in the week"), rows, frozenset(), note, frozenset({2}))
    return Section("Incidents", source.url, source.command, facts, (table,))
