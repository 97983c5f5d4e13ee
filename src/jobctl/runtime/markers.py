"""How a run's end is told to machines: one marker line in the log, and a file for Prometheus' textfile collector.

The file is written by hand: what a library for it costs to import is a third of a start. Its metrics are named as those
of `jobctl export prometheus` are (monitor/prometheus), and begin with `jobctl_run_`, with which none of those does: one
directory may hold both, and the collector refuses a name that two files describe differently. The label is `job_name`,
since Prometheus keeps `job` for itself and would rename ours.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jobctl import log
from jobctl.runtime.outcome import ABANDONED, FAILED, INTERRUPTED, TIMEOUT, RunReport

LOG = log.get_logger()

FAILURES = frozenset({FAILED, TIMEOUT, INTERRUPTED, ABANDONED})


def log_outcome(report: RunReport, scope: str = "") -> None:
    """`<job>.run_success=1` or `<job>.run_failure=1` with the duration, as the last line of a run's own work.

    `scope` is the name of a wrapped command: a thing of its own to whoever watches."""
    failed = report.status in FAILURES
    marker = f"{report.job}.{'run_failure' if failed else 'run_success'}"
    say = LOG.error if failed else LOG.info
    say(
        "run_finished",
        **{marker: 1},
        **({"scope": scope} if scope else {}),
        status=report.status,
        degraded=report.degraded,
        exit_code=report.exit_code,
        duration_ms=report.duration_ms,
        peak_memory_bytes=report.peak_memory_bytes,
        counts=report.counts,
    )


# Each with its help; all are gauges.
RUN_METRICS: Final[Mapping[str, str]] = {
    "jobctl_run_success": "Whether the last run on this host did not fail (1) or did (0).",
    "jobctl_run_exit_code": "Exit code of the last run on this host.",
    "jobctl_run_duration_seconds": "How long the last run on this host took.",
    "jobctl_run_finished_timestamp_seconds": "When the last run on this host ended.",
    "jobctl_run_peak_memory_bytes": "Most memory that the worker of the last run on this host had.",
}


def write_textfile(report: RunReport, directory: Path, scope: str = "") -> None:
    """Replace `jobctl_<job>.prom`, of a wrapped command `jobctl_run_<name>.prom`, atomically.

    A directory that cannot be written fails no run; the log says so."""
    values = (
        0 if report.status in FAILURES else 1,
        report.exit_code,
        report.duration_ms / 1000,
        report.finished_at.timestamp(),
        report.peak_memory_bytes,
    )
    labels = f'{{job_name="{report.job}",scope="{scope}"}}'
    lines = [
        line
        for (name, text), value in zip(RUN_METRICS.items(), values, strict=True)
        for line in (f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name}{labels} {value}")
    ]
    name = "_".join(["jobctl", report.job.replace("-", "_"), *([scope] if scope else [])])
    from jobctl.replaced_file import replace

    try:
        replace(directory / f"{name}.prom", ("\n".join(lines) + "\n").encode())
    except OSError as error:
        LOG.warning("textfile_not_written", directory=str(directory), reason=str(error))
