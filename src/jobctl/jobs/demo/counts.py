"""What the demo's runs say they did: counts, metrics, notes, events. Pure."""

import json
from collections.abc import Iterator
from datetime import datetime
from random import Random
from typing import Any, Final, NamedTuple

from jobctl.jobs.demo.plan import BRANCH, Plan
from jobctl.jobs.demo.stories import PROFILES
from jobctl.jobs.demo.troubles import Trouble


class Told(NamedTuple):
    """As JSON text, except what is none."""

    counts: str = "{}"
    metrics: str = "{}"
    notes: str = "[]"
    degraded: bool = False
    memory: int | None = None
    said: dict[str, int] = {}  # noqa: RUF012 - never written


NOTHING: Final = Told()


def of(plan: Plan, random: Random, job: str, at: datetime, took_s: float) -> Told:
    said, metrics, notes, degraded = _of(plan, random, job, at, took_s)
    memory = round(random.uniform(52, 74) * 1_048_576)
    return Told(
        json.dumps(said),
        json.dumps(metrics) if metrics else NOTHING.metrics,
        json.dumps(notes) if notes else NOTHING.notes,
        degraded,
        memory,
        said,
    )


def _of(
    plan: Plan, random: Random, job: str, at: datetime, took_s: float
) -> tuple[dict[str, int], dict[str, float], list[str], bool]:
    is_day = 7 <= at.hour < 19 and at.weekday() < 5
    if job == "ingest-branch":
        read = round(random.uniform(300, 900) * (1 + plan.share(at)) * (1.6 if is_day else 0.6))
        bad_source = 61 < (plan.as_of - at).days < 64  # it sent coordinates in another order
        rejected = round(read * (0.09 if bad_source else random.uniform(0.002, 0.02)))
        inserted, updated = round(read * 0.15), round(read * 0.3)
        counts = {"read": read, "inserted": inserted, "updated": updated,
                  "unchanged": read - inserted - updated - rejected, "rejected": rejected, "skipped": 0, "withdrawn": 0,
                  "enqueued": inserted, "bytes": read * 412}  # fmt: skip
        notes = [f"9.0% of the records were rejected, more than 5%; see: jobctl branch rejects {BRANCH} --by-reason"]
        return counts, {"rows_per_s": round(read / took_s, 1)}, notes if bad_source else [], bad_source
    if job == "sync":
        changed = random.randrange(8, 19) if is_day or at.weekday() < 5 else random.randrange(1, 5)
        issues = changed * random.randrange(2, 9)
        counts = {"projects": len(PROFILES), "ok": changed, "unchanged": len(PROFILES) - changed, "left": 0,
                  "issues_inserted": issues // 3, "issues_updated": issues, "requests": 2 * len(PROFILES) + issues,
                  "not_modified": 2 * (len(PROFILES) - changed), "quota": issues + changed}  # fmt: skip
        return counts, {"completion_rate": 1.0}, [], False
    if job == "metrics":
        return {"projects": len(PROFILES), "project_hours": len(PROFILES), "project_days": len(PROFILES)}, {}, [], False
    if job == "report":
        return {"recipients": 4, "sent": 4}, {}, [], False
    if job == "retry-failed":
        requeued = random.randrange(4) if is_day else 0
        is_bad = (plan.as_of - at).days < 1 and random.random() < 0.5
        notes = ["14 tasks of type demo-notify failed within the hour, more than 10"] if is_bad else []
        counts = {"stuck_recovered": int(random.random() < 0.03), "stuck_failed": 0, "stale_cancelled": 0,
                  "requeued": requeued, "failures_last_hour": 14 if is_bad else requeued, "pruned": 0}  # fmt: skip
        return counts, {}, notes, is_bad
    claimed = random.randrange(6, 60) if is_day else random.randrange(0, 12)
    failed = sum(random.random() < 0.02 for _ in range(claimed))
    retried = sum(random.random() < 0.04 for _ in range(claimed - failed))
    counts = {"claimed": claimed, "succeeded": claimed - failed - retried, "retried": retried, "failed": failed,
              "snoozed": 0, "released": 0, "lost": 0}  # fmt: skip
    return counts, {}, [], False


def events(random: Random, job: str, told: Told, failure: Trouble | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Level, name and fields."""
    if failure is not None:
        yield "error", "run_ended", {"status": failure.status, "error_class": failure.error_class}
    elif job == "sync":
        for profile in random.sample(PROFILES, min(5, told.said["ok"])):
            yield "info", "project_synced", {"project": f"demo/{profile.name}", "outcome": "ok",
                                             "issues": random.randrange(1, 20)}  # fmt: skip
    elif job == "ingest-branch" and told.degraded:
        yield "warning", "many_rejected", {"branch": BRANCH, "rejected": told.said["rejected"]}
    elif job == "retry-failed" and told.said["requeued"]:
        yield "info", "requeued", {"tasks": told.said["requeued"]}
