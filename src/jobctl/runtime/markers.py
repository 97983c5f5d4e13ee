"""How a run's end is told to machines: one marker line in the log, and a file for Prometheus' textfile collector."""

import os
from contextlib import suppress
from pathlib import Path

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


def write_textfile(report: RunReport, directory: Path, scope: str = "") -> None:
    """Replace `jobctl_<job>.prom`, of a wrapped command `jobctl_run_<name>.prom`, atomically.

    A directory that cannot be written fails no run; the log says so."""
    labels = f'{{job="{report.job}"' + (f',scope="{scope}"' if scope else "") + "}"
    name = "_".join(["jobctl", report.job.replace("-", "_"), *([scope] if scope else [])])
    gauges = {
        "jobctl_run_success": (0 if report.status in FAILURES else 1, "1 if the last run did not fail"),
        "jobctl_run_exit_code": (report.exit_code, "Exit code of the last run"),
        "jobctl_run_duration_seconds": (report.duration_ms / 1000, "Duration of the last run"),
        "jobctl_run_finished_timestamp_seconds": (report.finished_at.timestamp(), "When the last run ended"),
        "jobctl_run_peak_memory_bytes": (report.peak_memory_bytes, "Peak memory of the last run's worker"),
    }
    lines = [
        line
        for gauge, (value, text) in gauges.items()
        for line in (f"# HELP {gauge} {text}", f"# TYPE {gauge} gauge", f"{gauge}{labels} {value}")
    ]
    import tempfile

    try:
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".jobctl-")
    except OSError as error:
        LOG.warning("textfile_not_written", directory=str(directory), reason=str(error))
        return
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        Path(temporary).chmod(0o644)  # the collector runs as another user
        Path(temporary).replace(directory / f"{name}.prom")
    except OSError as error:
        LOG.warning("textfile_not_written", directory=str(directory), reason=str(error))
        with suppress(OSError):
            Path(temporary).unlink()
