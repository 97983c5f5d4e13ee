"""`jobctl export prometheus`: the database as of one moment, in the text form that Prometheus reads.

Gauges, because a short process has no counters that outlive it: what they tell is read from tables each time.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from jobctl.db.connection import Database
from jobctl.monitor import looking
from jobctl.monitor.looking import Unseen
from jobctl.monitor.prometheus import runs, state, work
from jobctl.monitor.prometheus.catalogue import METRICS, SECTIONS, Metric, Sample
from jobctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric as Family

READERS: Final[Mapping[str, Callable[[psycopg.Connection, datetime], Sequence[Sample]]]] = {
    "runs": runs.read,
    "running": runs.read_running,
    "schedule": work.read_schedule,
    "queue": work.read_queue,
    "branches": state.read_branches,
    "projects": state.read_projects,
    "alerts": state.read_alerts,
    "database": state.read_database,
    "tables": state.read_tables,
}
NOW = "SELECT pg_catalog.statement_timestamp()"


class Export(NamedTuple):
    """All samples as of `at`, and the sections that could not be read."""

    at: datetime
    samples: Sequence[Sample]
    unseen: Sequence[Unseen]

    def families(self) -> list[tuple[Metric, list[Sample]]]:
        """By metric, in the order of the catalogue; those without a sample are left out."""
        found: dict[str, list[Sample]] = {name: [] for name in METRICS}
        for sample in self.samples:
            found[sample.name].append(sample)
        return [(METRICS[name], samples) for name, samples in found.items() if samples]


# Locks are of no snapshot.
OF_NO_MOMENT: Final = frozenset({"running"})


def gather(database: Database, conn: psycopg.Connection, *, limit_ms: int) -> Export:
    """One snapshot, which is held for as long as reading takes; each section in its own time and rights."""
    unseen: list[Unseen] = []
    samples = [Sample("jobctl_build_info", (__version__,), 1)]

    def read(section: str, now: datetime) -> None:
        found = looking.ask(conn, section, lambda conn: READERS[section](conn, now), unseen)
        samples.extend(found or ())
        samples.append(Sample("jobctl_export_section_seen", (section,), found is not None))

    with looking.look(database, conn, limit_ms=limit_ms):
        row = conn.execute(NOW).fetchone()
        assert row is not None
        now: datetime = row[0]
        samples.append(Sample("jobctl_export_timestamp_seconds", (), now.timestamp()))
        for section in SECTIONS:
            if section not in OF_NO_MOMENT:
                read(section, now)
        if not looking.sees_sessions(conn):
            unseen.append(Unseen("sessions of other roles", "the role is no member of pg_read_all_stats"))
    for section in OF_NO_MOMENT:
        with looking.look(database, conn, limit_ms=limit_ms, one_moment=False):
            read(section, now)
    return Export(now, samples, unseen)


def render(export: Export) -> bytes:
    """The text form, by Prometheus's own client."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    class Collector:
        def collect(self) -> "Iterator[Family]":
            for metric, samples in export.families():
                kind = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
                family = kind(metric.name, metric.help, labels=metric.labels)
                for sample in samples:
                    family.add_metric(sample.labels, sample.value)
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)
