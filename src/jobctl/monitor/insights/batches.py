"""Which batch size of `ingest-branch` was the fastest, where several were tried, and whether memory cuts it. Pure."""

import re
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from jobctl.monitor.insights.finding import Finding, subject_of

JOB: Final = "ingest-branch"
LEAST_RUNS: Final = 5
LEAST_ROWS: Final = 1_000  # fewer tell nothing about a rate
LEAST_GAIN: Final = 1.2
NEAR_LIMIT: Final = 0.9
_OPTION: Final = re.compile(r"--batch-size[= ](\d{1,7})\b")


class Ingest(NamedTuple):
    """A completed run of one branch, by the command that it was."""

    command: str
    read: int
    rows_per_s: float
    peak_memory_bytes: int


def batch_size(scope: str, runs: Sequence[Ingest], *, usual: int) -> Finding | None:
    """`usual` is what the settings say; a run whose command says another had that."""
    rates: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        if run.read >= LEAST_ROWS:
            named = _OPTION.search(run.command)
            rates[int(named[1]) if named else usual].append(run.rows_per_s)
    medians = {size: median(found) for size, found in rates.items() if len(found) >= LEAST_RUNS}
    if usual not in medians or len(medians) < 2:
        return None
    best = max(medians, key=lambda size: medians[size])
    gain = medians[best] / medians[usual] if medians[usual] else 0.0
    if best == usual or gain < LEAST_GAIN:
        return None
    subject = subject_of(JOB, scope)
    return Finding(
        "batch-size",
        "low",
        subject,
        f"{subject} read {medians[best]:,.0f} records a second in batches of {best:,}, and {medians[usual]:,.0f} in "
        f"those of {usual:,}",
        {
            "batch": usual,
            "recommended": best,
            "rows_per_s": round(medians[usual], 1),
            "recommended_rows_per_s": round(medians[best], 1),
            "gain": round(gain, 2),
        },
        f"medians of {len(rates[usual])} and {len(rates[best])} runs of {LEAST_ROWS:,} records or more; {LEAST_RUNS} "
        "are enough",
        f"JOBCTL_BATCH_SIZE={best}",
        weight=gain,
    )


def memory(scope: str, runs: Sequence[Ingest], *, limit_bytes: int) -> Finding | None:
    """The worker keeps below the limit by making batches smaller: at the limit it is what decides about them."""
    large = [run for run in runs if run.read >= LEAST_ROWS]
    near = [run for run in large if run.peak_memory_bytes >= NEAR_LIMIT * limit_bytes]
    if len(near) < LEAST_RUNS or 2 * len(near) < len(large):
        return None
    subject, mib = subject_of(JOB, scope), 1 << 20
    peak = max(run.peak_memory_bytes for run in near)
    return Finding(
        "memory",
        "low",
        subject,
        f"{len(near)} of {len(large)} runs of {subject} came to the memory limit of {limit_bytes // mib} MiB, where "
        "batches become smaller",
        {"runs": len(large), "near_limit": len(near), "peak_memory_bytes": peak, "limit_bytes": limit_bytes},
        f"{len(large)} runs of {LEAST_ROWS:,} records or more; {LEAST_RUNS} are enough",
        f"JOBCTL_MEMORY_LIMIT_MB={2 * limit_bytes // mib}, where the host has it",
        weight=peak / limit_bytes,
    )
