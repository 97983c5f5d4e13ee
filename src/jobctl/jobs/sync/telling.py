"""What became of a run, from what became of its projects. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from jobctl.errors import JobctlError
from jobctl.github.account import Account, Spent
from jobctl.github.failures import Outcome as Became
from jobctl.jobs.sync.doing import COMPLETE, PARTS_FAILED, Done
from jobctl.jobs.sync.session import Choice
from jobctl.projects.store import Freshness
from jobctl.runtime.outcome import Outcome

TABLES: Final = (
    *("issues", "pulls", "reviews", "labels", "milestones"),
    *("commits", "languages", "contributors", "releases"),
)
COUNTS: Final = (
    *("projects", *map(str, Became), "left", "not_due"),
    *("facts_updated", "issues_unchanged", "details_updated", "details_left"),
    *(f"{table}_{what}" for table in TABLES for what in ("inserted", "updated", "removed")),
    *("requests", "not_modified", "quota", "points"),
    *("project_days", "events_pruned", "etags_pruned", "payloads_pruned"),
)
MOST_TOLD: Final = 20


def told(
    done: Sequence[Done],
    projects: int,
    account: Account,
    freshness: Freshness,
    cleaned: Mapping[str, int],
    error: JobctlError | None,
    choice: Choice,
) -> Outcome:
    counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    counts["projects"] = projects
    counts["left"] = projects - len(done)
    for each in done:
        counts[each.outcome] += 1
        counts.update(each.counts)
    total = account.total()
    counts["requests"], counts["not_modified"] = total.requests, total.unchanged
    counts["quota"], counts["points"] = total.quota, total.points
    counts.update(cleaned)
    complete = sum(each.outcome in COMPLETE for each in done)
    metrics = {"completion_rate": round(complete / projects, 4) if projects else 1.0}
    if freshness.oldest_s is not None:
        metrics["oldest_sync_s"] = round(freshness.oldest_s, 1)
    failed = [each for each in done if each.outcome in PARTS_FAILED]
    every_one_silent = bool(done) and all(each.is_silent for each in done)
    return Outcome(
        counts=counts,
        metrics=metrics,
        notes=_notes(done, failed, counts, choice),
        degraded=bool(failed),
        error=error or (done[0].error if every_one_silent else None),
        evidence={"projects": [each.as_json() for each in _by_name(done)], "quota": _quota(account)},
    )


def _notes(done: Sequence[Done], failed: Sequence[Done], counts: Mapping[str, int], choice: Choice) -> list[str]:
    left, not_due = counts["left"], counts["not_due"]
    notes = [
        f"{each.name}: {each.outcome}: {each.error.message}" for each in _by_name(failed)[:MOST_TOLD] if each.error
    ]
    if len(failed) > MOST_TOLD:
        notes.append(f"and {len(failed) - MOST_TOLD:,} more: jobctl project list")
    moved = [each for each in done if each.was != each.name]
    notes += [f"{each.was} is {each.name} now" for each in _by_name(moved)[:MOST_TOLD]]
    limited = [each for each in done if each.outcome is Became.LIMITED]
    if limited or left:
        reasons = {each.error.message for each in limited if each.error is not None}
        why = f" ({'; '.join(sorted(reasons)[:2])})" if reasons else ""
        notes.append(f"{len(limited) + left:,} projects were not brought to their end{why}; the next run goes on")
    if not choice.has_token and done:
        notes.append(_of_no_token(counts))
    if not_due:
        said = "project is not due by its own schedule" if not_due == 1 else "projects are not due by their schedules"
        notes.append(f"{not_due:,} {said} (--project syncs one now)")
    of_projects = [f"{each.name}: {note}" for each in _by_name(done) for note in each.notes]
    notes += of_projects[:MOST_TOLD]
    if not done and not left and not not_due:
        notes.append("no project is followed: jobctl project add OWNER/REPO")
    return notes


def _of_no_token(counts: Mapping[str, int]) -> str:
    """GraphQL answers nobody without one."""
    few = "without a token (GITHUB_TOKEN) details come by REST, of few pull requests an hour and of no issue"
    waiting = counts["details_left"]
    if not waiting:
        return few
    return f"{few}: {waiting:,} pull request{' waits' if waiting == 1 else 's wait'} for the next runs"


def _by_name(done: Sequence[Done]) -> list[Done]:
    return sorted(done, key=lambda each: each.name.lower())


def _quota(account: Account) -> dict[str, object]:
    """All of it, and by endpoint."""
    by_endpoint: dict[str, Spent] = {}
    for line in account.lines():
        by_endpoint.setdefault(line.endpoint, Spent()).add(line.spent)
    return {
        **_spent(account.total()),
        "endpoints": [{"endpoint": name, **_spent(spent)} for name, spent in sorted(by_endpoint.items())],
    }


def _spent(spent: Spent) -> dict[str, object]:
    return {
        "requests": spent.requests,
        "unchanged": spent.unchanged,
        "quota": spent.quota,
        "points": spent.points,
        "limited": spent.limited,
        "failed": spent.failed,
        "bytes": spent.bytes,
    }
