"""What a host knows of its own past: when it booted, since when cron runs, whether a line's command is there.

Ages are taken from the kernel's uptime, which nobody can set, and turned into times by the clock as it is now.
"""

import os
import shlex
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

CRONS = frozenset({"cron", "crond", "busybox-crond", "fcron", "systemd-cron"})
PROC = Path("/proc")


def booted_at(now: datetime, proc: Path = PROC) -> datetime | None:
    uptime_s = _uptime_s(proc)
    return now - timedelta(seconds=uptime_s) if uptime_s is not None else None


def cron_started_at(now: datetime, proc: Path = PROC) -> datetime | None:
    """When the oldest cron that runs was started; None when none does."""
    uptime_s = _uptime_s(proc)
    if uptime_s is None:
        return None
    ages = [uptime_s - started_s for started_s in _crons_started_s(proc)]
    return now - timedelta(seconds=max(ages)) if ages else None


def command_is_there(command: str) -> bool | None:
    """Whether the first word of a crontab's command is a program; None where the shell alone could say."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    while words and "=" in words[0].partition("/")[0]:
        words.pop(0)  # an assignment before the command
    if not words or any(mark in words[0] for mark in "$`(){};&|<>"):
        return None
    if "/" in words[0]:
        return os.access(words[0], os.X_OK)
    return shutil.which(words[0]) is not None


def _crons_started_s(proc: Path) -> Iterator[float]:
    """For each cron, the seconds from boot to its start."""
    ticks = os.sysconf("SC_CLK_TCK")
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it has ended
        head, _, rest = stat.rpartition(")")
        fields = rest.split()
        if head.partition("(")[2] in CRONS and len(fields) > 19 and fields[0] not in ("Z", "X"):
            yield int(fields[19]) / ticks


def _uptime_s(proc: Path) -> float | None:
    try:
        return float((proc / "uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
