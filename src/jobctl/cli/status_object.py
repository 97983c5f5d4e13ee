"""`jobctl status --json`: the glance as one object (docs/json.md)."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobctl.monitor.runs.jobs_now import state_of

if TYPE_CHECKING:
    from jobctl.monitor.runs.facts import Missed
    from jobctl.monitor.runs.glance import BranchNow, Glance, QueueNow, RunningNow
    from jobctl.monitor.runs.health import Health, Told
    from jobctl.monitor.runs.jobs_now import JobNow
    from jobctl.monitor.runs.states import State


def as_json(glance: "Glance") -> dict[str, Any]:
    truth: dict[tuple[UUID, str], State] = {(now.run.run_id, now.run.scope): now.run.state for now in glance.running}
    return {
        "as_of": glance.as_of,
        "health": health_json(glance.health),
        "jobs": [_job(job, truth.get((job.last.run_id, job.scope)) if job.last else None) for job in glance.jobs],
        "running": [_running(now) for now in glance.running],
        "missed": [_missed(each) for each in glance.missed],
        "incidents": [_incident(told) for told in glance.incidents],
        "queue": _queue(glance.queue),
        "branches": [_branch(branch) for branch in glance.branches],
        "projects": glance.projects._asdict(),
        "kept_here": None,
        "error": None,
    }


def away_json(error: Exception, hint: str, as_of: datetime, text: str, kept: dict[str, Any]) -> dict[str, Any]:
    """The same keys while the database is away, with what this host alone knows."""
    reason = {"severity": "critical", "code": "database", "subject": "database", "text": text, "since": None,
              "incident_id": None, "quiet": ""}  # fmt: skip
    return {
        "as_of": as_of,
        "health": {"status": "unknown", "reasons": [reason]},
        **{name: [] for name in ("jobs", "running", "missed", "incidents")},
        "queue": None,
        "branches": [],
        "projects": None,
        "kept_here": kept,
        "error": {"class": type(error).__name__, "message": text, "hint": hint},
    }


def health_json(health: "Health") -> dict[str, Any]:
    return {"status": health.status, "reasons": [reason._asdict() for reason in health.reasons]}


def _job(job: "JobNow", truth: "State | None") -> dict[str, Any]:
    return {
        "job": job.job,
        "scope": job.scope,
        "state": job.state,
        "last_run": {**job.last._asdict(), "state": state_of(job.last, truth)} if job.last else None,
        "last_success_at": job.last_success_at,
        "next_at": job.next_at,
        "pause": job.pause or None,
        "is_scheduled": job.is_scheduled,
        "streak": job.streak._asdict(),
        "durations": job.durations._asdict(),
    }


def _running(now: "RunningNow") -> dict[str, Any]:
    run = now.run
    return {
        "run_id": run.run_id,
        "job": run.job,
        "scope": run.scope,
        "state": run.state,
        "why": run.why,
        "correlation_id": run.correlation_id,
        "host": run.host,
        "os_user": run.os_user,
        "supervisor_pid": run.supervisor_pid,
        "worker_pid": run.worker_pid,
        "version": run.version,
        "slot_at": run.slot_at,
        "started_at": run.started_at,
        "elapsed_s": round(run.elapsed_s, 3),
        "heartbeat_at": run.heartbeat_at,
        "silent_s": round(run.silent_s, 3),
        "lease_s": run.lease_s,
        "is_lock_held": run.is_lock_held,
        "progress": run.progress,
        "progress_at": run.progress_at,
        "expected_end_at": now.expected_end_at,
        "latest_end_at": now.latest_end_at,
    }


def _missed(each: "Missed") -> dict[str, Any]:
    return each._asdict()


def _incident(told: "Told") -> dict[str, Any]:
    incident = told.incident
    return {
        "incident_id": told.incident_id,
        "severity": incident.severity,
        "title": incident.title,
        "cause": incident.cause,
        "page": incident.page,
        "opened_at": incident.opened_at,
        "last_seen_at": incident.last_seen_at,
        "occurrences": incident.occurrences,
        "is_flapping": incident.is_flapping,
        "acked_at": incident.acked_at,
        "acked_by": told.acked_by,
        "snoozed_until": incident.snoozed_until,
    }


def _queue(queue: "QueueNow") -> dict[str, Any]:
    return {"due": [due._asdict() for due in queue.due], "running": queue.running, "failed_last_day": queue.failed}


def _branch(branch: "BranchNow") -> dict[str, Any]:
    return {**branch._asdict(), "is_stale": branch.is_stale}
