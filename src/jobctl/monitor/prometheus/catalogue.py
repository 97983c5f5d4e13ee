"""Which metrics the export has: name, help, labels, by the part of the database that they are read from. Pure.

By Prometheus's conventions: base units (seconds, bytes), moments as `_timestamp_seconds`, ratios not percent, `_total`
for what only ever rises. All but two are gauges: they are read from tables that are pruned, so they fall, too. What is
counted over a window says so in its name. Labels are few and bounded: jobs, scopes, branches, types, tables; never a
run, a task, a user or a project. `job_name` is not called `job`, which is Prometheus's own.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple


class Metric(NamedTuple):
    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


class Sample(NamedTuple):
    """A value of a metric, with its labels' values in the metric's order."""

    name: str
    labels: tuple[str, ...]
    value: float


_RUN = ("job_name", "scope")

# By section; a section is read as a whole or, where the role may not or it took too long, not at all.
SECTIONS: Final[Mapping[str, tuple[Metric, ...]]] = {
    "runs": (
        Metric("jobctl_job_last_start_timestamp_seconds", "When the latest run began, skipped starts apart.", _RUN),
        Metric("jobctl_job_last_end_timestamp_seconds", "When the latest run that has ended did.", _RUN),
        Metric("jobctl_job_last_success_timestamp_seconds", "When the latest run that completed ended.", _RUN),
        Metric("jobctl_job_last_success", "Whether the latest run that has ended completed (1) or not (0).", _RUN),
        Metric("jobctl_job_last_degraded", "Whether the latest run that has ended was degraded (1) or not (0).", _RUN),
        Metric("jobctl_job_last_exit_code", "Exit code of the latest run that has ended.", _RUN),
        Metric("jobctl_job_last_duration_seconds", "How long the latest run that has ended took.", _RUN),
        Metric("jobctl_job_last_peak_memory_bytes", "Most memory that the latest run's worker had.", _RUN),
        Metric("jobctl_job_failures_in_a_row", "Runs that failed since the last one that completed.", _RUN),
        Metric("jobctl_job_duration_median_seconds", "Median duration of the last 100 completed runs.", _RUN),
        Metric("jobctl_job_duration_p95_seconds", "What 95 of the last 100 completed runs took at most.", _RUN),
        Metric("jobctl_job_runs_last_day", "Runs of the last 24 hours by how they ended.", (*_RUN, "status")),
        Metric("jobctl_job_starts_total", "Runs that got the lock, ever.", _RUN, "counter"),
        Metric("jobctl_job_scopes_left_out", "Jobs' scopes left out of this export because there are too many."),
    ),
    "running": (
        Metric("jobctl_job_running", "Runs that hold their lock now.", _RUN),
        Metric("jobctl_job_running_seconds", "How long the oldest run that holds its lock has been running.", _RUN),
        Metric("jobctl_job_frozen", "Runs that hold their lock and have been silent for half their lease.", _RUN),
        Metric("jobctl_job_dead", "Runs whose row says running although their lock is gone.", _RUN),
    ),
    "schedule": (
        Metric("jobctl_schedule_lines", "Installed lines of crontabs and timers.", ("job_name",)),
        Metric(
            "jobctl_schedule_looked_at_timestamp_seconds",
            "Up to when all slots of the job's installed lines have been judged.",
            ("job_name",),
        ),
        Metric("jobctl_job_paused", "Whether the job is paused (1); not told where it is not.", _RUN),
        Metric("jobctl_slots_last_day", "Slots of the last 24 hours by their verdict.", (*_RUN, "verdict")),
    ),
    "queue": (
        Metric("jobctl_queue_waiting_tasks", "Tasks that wait, those for later included.", ("type",)),
        Metric("jobctl_queue_due_tasks", "Tasks that could run now.", ("type",)),
        Metric("jobctl_queue_oldest_due_seconds", "How long the oldest due task has been due.", ("type",)),
        Metric("jobctl_queue_running_tasks", "Tasks that a worker has in hand.", ("type",)),
        Metric("jobctl_queue_overdue_tasks", "Running tasks whose lease is over.", ("type",)),
        Metric("jobctl_queue_failed_tasks", "Tasks that failed for good and are kept.", ("type",)),
        Metric("jobctl_queue_attempts_last_hour", "Tries that ended in the last hour.", ("type", "outcome")),
        Metric("jobctl_queue_running_limit", "How many tasks may run at once; an empty type: in all.", ("type",)),
        Metric("jobctl_queue_claims_total", "Claims of tasks, ever.", (), "counter"),
    ),
    "branches": (
        Metric("jobctl_branch_active", "Whether ingest reads the branch (1) or not (0).", ("branch",)),
        Metric("jobctl_branch_loaded_timestamp_seconds", "When the branch was loaded last.", ("branch",)),
        Metric("jobctl_branch_expected_freshness_seconds", "How old the branch may become.", ("branch",)),
        Metric("jobctl_branch_open_rejects", "Records of the branch that are rejected now.", ("branch",)),
    ),
    "projects": (
        Metric("jobctl_projects", "Active projects by the outcome of their last sync.", ("outcome",)),
        Metric(
            "jobctl_project_oldest_sync_timestamp_seconds",
            "When the project without a schedule of its own that waits longest was synced.",
        ),
        Metric("jobctl_metrics_hour_timestamp_seconds", "The latest hour that `jobctl metrics` has figures of."),
        Metric("jobctl_open_bugs", "Open bugs by severity.", ("severity",)),
        Metric("jobctl_revenue_at_risk_per_day", "What open bugs cost a day, in the team's currency.", ("severity",)),
        Metric("jobctl_service_level_cycles", "Cycles of service levels by goal and state.", ("goal", "state")),
        Metric("jobctl_projects_by_health", "Projects by the band of their health.", ("band",)),
    ),
    "alerts": (
        Metric("jobctl_incidents_open", "Open incidents.", ("severity",)),
        Metric("jobctl_incident_oldest_open_timestamp_seconds", "When the oldest open incident began."),
        Metric("jobctl_alerts_firing", "Alerts that fire, by their condition.", ("condition",)),
        Metric("jobctl_outbox_unsent_messages", "Messages that wait to be sent.", ("channel",)),
        Metric("jobctl_outbox_oldest_unsent_timestamp_seconds", "When the oldest unsent message was written."),
        Metric("jobctl_outbox_undelivered_last_day", "Messages of the last 24 hours that failed or are in doubt.",
               ("channel", "state")),
    ),
    "database": (
        Metric("jobctl_database_size_bytes", "Size of the database."),
        Metric("jobctl_database_schema_version", "Number of the last migration that was applied."),
        Metric("jobctl_database_oldest_snapshot_seconds", "Age of the oldest transaction that holds a snapshot."),
    ),
    # Apart: the size of a table waits for whoever has locked it.
    "tables": (
        Metric("jobctl_table_size_bytes", "Size of a table with its indexes.", ("table",)),
        Metric("jobctl_table_live_rows", "Rows of a table, as the server estimates.", ("table",)),
        Metric("jobctl_table_dead_rows", "Rows of a table that vacuum has yet to remove.", ("table",)),
    ),
}  # fmt: skip

# What the export says of itself; there always.
OWN: Final = (
    Metric("jobctl_build_info", "The version that made this export; always 1.", ("version",)),
    Metric("jobctl_export_timestamp_seconds", "The moment that this export shows."),
    Metric("jobctl_export_section_seen", "Whether a part of the database could be read (1) or not (0).", ("section",)),
)

METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric for metrics in (*SECTIONS.values(), OWN) for metric in metrics
}
