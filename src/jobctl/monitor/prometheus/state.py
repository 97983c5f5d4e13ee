"""Sections `branches`, `projects`, `alerts`, `database` and `tables`: how fresh, how well, what is open, how large."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import psycopg

from jobctl.monitor import looking
from jobctl.monitor.doctor import server
from jobctl.monitor.prometheus.catalogue import Sample

MOST_BRANCHES = 500
MOST_TABLES = 200
LATEST_MESSAGES = 5_000

BRANCHES = """
SELECT b.slug, b.active, b.loaded_at, extract(epoch FROM b.expected_freshness)::float8, coalesce(r.rejects, 0)
FROM branch.branches AS b LEFT JOIN (
    SELECT r.branch_id, count(*) AS rejects FROM branch.rejects AS r WHERE r.resolved_at IS NULL GROUP BY r.branch_id
) AS r USING (branch_id)
ORDER BY b.slug LIMIT %(most)s
"""


def read_branches(conn: psycopg.Connection, _now: datetime) -> list[Sample]:
    samples: list[Sample] = []
    for slug, active, loaded_at, expected_s, rejects in conn.execute(BRANCHES, {"most": MOST_BRANCHES}):
        samples.append(Sample("jobctl_branch_active", (slug,), active))
        if loaded_at is not None:
            samples.append(Sample("jobctl_branch_loaded_timestamp_seconds", (slug,), loaded_at.timestamp()))
        if expected_s is not None:
            samples.append(Sample("jobctl_branch_expected_freshness_seconds", (slug,), expected_s))
        samples.append(Sample("jobctl_branch_open_rejects", (slug,), rejects))
    return samples


PROJECTS = """
SELECT coalesce(p.sync_outcome, 'never'), count(*), min(p.synced_at) FILTER (WHERE p.schedule IS NULL)
FROM dev.projects AS p WHERE p.active GROUP BY 1
"""
FIGURES = "SELECT m.hour, m.figures FROM dev.metric_hours AS m ORDER BY m.hour DESC LIMIT 1"


def read_projects(conn: psycopg.Connection, _now: datetime) -> list[Sample]:
    samples: list[Sample] = []
    oldest: list[datetime] = []
    for outcome, projects, synced_at in conn.execute(PROJECTS):
        samples.append(Sample("jobctl_projects", (outcome,), projects))
        oldest += [synced_at] if synced_at is not None else []
    if oldest:
        samples.append(Sample("jobctl_project_oldest_sync_timestamp_seconds", (), min(oldest).timestamp()))
    row = conn.execute(FIGURES).fetchone()
    return samples if row is None else samples + of_figures(*row)


def of_figures(hour: datetime, figures: dict[str, Any]) -> list[Sample]:
    """Of what `jobctl metrics` kept of an hour; an older version's may lack parts."""
    samples = [Sample("jobctl_metrics_hour_timestamp_seconds", (), hour.timestamp())]
    for severity, at_risk in figures.get("revenue_at_risk", {}).get("by_severity", {}).items():
        samples.append(Sample("jobctl_open_bugs", (severity,), at_risk["bugs"]))
        samples.append(Sample("jobctl_revenue_at_risk_per_day", (severity,), float(at_risk["per_day"])))
    for goal, by_severity in figures.get("service_levels", {}).items():
        states: Counter[str] = Counter()
        for of_severity in by_severity.values():
            states.update(of_severity)
        samples += [Sample("jobctl_service_level_cycles", (goal, state), number) for state, number in states.items()]
    for band, number in figures.get("health", {}).items():
        samples.append(Sample("jobctl_projects_by_health", (band,), number))
    return samples


INCIDENTS = """
SELECT i.severity, count(*), min(i.opened_at) FROM ops.incidents AS i WHERE i.state = 'open' GROUP BY i.severity
"""
FIRING = "SELECT a.condition, count(*) FROM ops.alerts AS a WHERE a.cleared_at IS NULL GROUP BY a.condition"
UNSENT = """
SELECT o.channel, count(*), min(o.created_at) FROM ops.outbox AS o WHERE o.state IN ('new', 'sending') GROUP BY 1
"""
# Of the latest messages alone: those that ended have no index but that of their numbers.
UNDELIVERED = """
SELECT o.channel, o.state, count(*) FROM (
    SELECT m.channel, m.state, m.updated_at FROM ops.outbox AS m ORDER BY m.message_id DESC LIMIT %(latest)s
) AS o WHERE o.state IN ('failed', 'unknown') AND o.updated_at > %(day_ago)s GROUP BY 1, 2
"""


def read_alerts(conn: psycopg.Connection, now: datetime) -> list[Sample]:
    incidents = {severity: (number, since) for severity, number, since in conn.execute(INCIDENTS)}
    # None open is a fact, too, and is what a graph of it falls back to.
    samples = [
        Sample("jobctl_incidents_open", (severity,), incidents.get(severity, (0, now))[0])
        for severity in ("critical", "warning")
    ]
    if incidents:
        oldest = min(since for _, since in incidents.values())
        samples.append(Sample("jobctl_incident_oldest_open_timestamp_seconds", (), oldest.timestamp()))
    samples += [Sample("jobctl_alerts_firing", (condition,), number) for condition, number in conn.execute(FIRING)]
    unsent = conn.execute(UNSENT).fetchall()
    samples += [Sample("jobctl_outbox_unsent_messages", (channel,), number) for channel, number, _ in unsent]
    if unsent:
        oldest = min(created_at for _, _, created_at in unsent)
        samples.append(Sample("jobctl_outbox_oldest_unsent_timestamp_seconds", (), oldest.timestamp()))
    parameters = {"latest": LATEST_MESSAGES, "day_ago": now - timedelta(days=1)}
    for channel, state, number in conn.execute(UNDELIVERED, parameters):
        samples.append(Sample("jobctl_outbox_undelivered_last_day", (channel, state), number))
    return samples


SIZE = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"
SCHEMA = "SELECT max(m.version) FROM jobctl_meta.migrations AS m"
TABLES = """
SELECT s.schemaname || '.' || s.relname, pg_catalog.pg_total_relation_size(s.relid), s.n_live_tup, s.n_dead_tup
FROM pg_catalog.pg_stat_user_tables AS s
WHERE s.schemaname IN ('branch', 'core', 'crawl', 'dev', 'ops', 'queue')
ORDER BY s.schemaname, s.relname LIMIT %(most)s
"""


def read_database(conn: psycopg.Connection, _now: datetime) -> list[Sample]:
    samples: list[Sample] = []
    (size,) = conn.execute(SIZE).fetchone() or (0,)
    samples.append(Sample("jobctl_database_size_bytes", (), size))
    (version,) = conn.execute(SCHEMA).fetchone() or (None,)
    samples.append(Sample("jobctl_database_schema_version", (), version or 0))
    held = server.oldest(conn)
    if held is not None or looking.sees_sessions(conn):  # else nobody knows
        samples.append(Sample("jobctl_database_oldest_snapshot_seconds", (), 0.0 if held is None else held.age_s))
    return samples


def read_tables(conn: psycopg.Connection, _now: datetime) -> list[Sample]:
    samples: list[Sample] = []
    for table, size, live, dead in conn.execute(TABLES, {"most": MOST_TABLES}):
        samples.append(Sample("jobctl_table_size_bytes", (table,), size))
        samples.append(Sample("jobctl_table_live_rows", (table,), live))
        samples.append(Sample("jobctl_table_dead_rows", (table,), dead))
    return samples
