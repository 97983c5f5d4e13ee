"""What goes wrong again and again: rejected records, retries that never help, errors that are the same one. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from jobctl.durations import format_duration
from jobctl.monitor.insights.finding import Finding
from jobctl.monitor.queue.patterns import Pattern

LEAST_REJECTS: Final = 20
LEAST_REJECT_SHARE: Final = 0.2
LEAST_RETRIED: Final = 20
MOST_HELPED: Final = 0.02
LEAST_FAILURES: Final = 10
LEAST_FAILURE_SHARE: Final = 0.2


class Rejected(NamedTuple):
    """Open rejects of a branch with one reason and field, of `all_open` among its `looked_at` newest ones."""

    branch: str
    reason: str
    field: str
    open: int
    all_open: int
    looked_at: int
    detail: str


def rejected(found: Rejected) -> Finding | None:
    share = found.open / found.all_open if found.all_open else 0.0
    if found.open < LEAST_REJECTS or share < LEAST_REJECT_SHARE:
        return None
    of_field = f" in {found.field}" if found.field else ""
    such_as = f", such as: {found.detail}" if found.detail else ""
    return Finding(
        "rejects",
        "medium",
        f"branch {found.branch}",
        f"{found.open:,} of {found.all_open:,} open rejects of {found.branch} are {found.reason}{of_field}{such_as}",
        {
            "reason": found.reason,
            "field": found.field,
            "open": found.open,
            "all_open": found.all_open,
            "share": round(share, 3),
            "looked_at": found.looked_at,
        },
        f"the {found.looked_at:,} newest rejects; {LEAST_REJECTS} and {LEAST_REJECT_SHARE:.0%} are enough",
        f"jobctl branch rejects {found.branch} --by-reason; mend the source or the field map "
        f"(jobctl branch add {found.branch} --update), then: jobctl branch replay {found.branch} --now",
        weight=share,
    )


class Retried(NamedTuple):
    """Tries of a type that failed with one class of error: how many were tried again, how many of those succeeded, and
    how long they took."""

    type: str
    error_class: str
    failures: int
    retried: int
    helped: int
    retry_s: float


def retry_never_helps(found: Retried) -> Finding | None:
    if found.retried < LEAST_RETRIED or found.helped > MOST_HELPED * found.retried:
        return None
    helped = "none" if not found.helped else f"{found.helped:,}"
    return Finding(
        "retries-in-vain",
        "medium",
        f"queue {found.type}",
        f"after {found.error_class} tasks of type {found.type} were tried again {found.retried:,} times, and {helped} "
        f"of these tries succeeded; they took {format_duration(round(found.retry_s))}",
        {
            "type": found.type,
            "error_class": found.error_class,
            "failures": found.failures,
            "retried": found.retried,
            "helped": found.helped,
            "retry_s": round(found.retry_s, 1),
        },
        f"{found.retried:,} further tries; {LEAST_RETRIED} are enough",
        f"let the handler say that {found.error_class} is not recoverable (docs/handlers.md), or a smaller "
        f"max_attempts below [queue.types.{found.type}]; jobctl queue list --type {found.type} --state failed",
        weight=found.retried / LEAST_RETRIED,
    )


def same_errors(patterns: Sequence[Pattern], what: str) -> Iterator[Finding]:
    """Of `what` (runs, tasks): patterns that are much of all that failed."""
    total = sum(each.failures for each in patterns)
    for each in patterns:
        share = each.failures / total
        if each.failures < LEAST_FAILURES or share < LEAST_FAILURE_SHARE:
            continue
        said = ": ".join(part for part in (each.error_class, each.pattern) if part)
        yield Finding(
            "error-pattern",
            "medium",
            f"{what} {_listed(each.types)}",
            f"{each.failures:,} of {total:,} failures of {what} are one error: {said}",
            {
                "error_class": each.error_class,
                "pattern": each.pattern,
                "failures": each.failures,
                "share": round(share, 3),
                "types": ", ".join(each.types),
                "first_at": each.first_at,
                "last_at": each.last_at,
                "task_id": each.task_id or None,
            },
            f"{total:,} failures; {LEAST_FAILURES} and {LEAST_FAILURE_SHARE:.0%} are enough",
            f"jobctl queue show {each.task_id}"
            if each.task_id
            else "jobctl alerts list --all; ops/runbooks/run-failed.md",
            weight=share,
        )


def _listed(names: Iterable[str]) -> str:
    few = list(names)
    return ", ".join(few[:3]) + (f" and {len(few) - 3} more" if len(few) > 3 else "")
