"""`jobctl run` as cron starts it: the wrapper, its files, and whatever is left of its command."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench_runs import Base, Ended, Runner

DOWN = "postgresql://jobctl@127.0.0.1:1/none?connect_timeout=1"


class Wrapper:
    """Starts `jobctl run` in the runner's directory and environment."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        runner.settings["JOBCTL_DATA_DIR"] = str(runner.directory / "data")
        runner.settings["JOBCTL_KILL_GRACE_S"] = "3"

    def start(
        self, *words: str, stdin: int = subprocess.DEVNULL, settings: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        environment = self.runner.environment() | dict(settings or {})
        return subprocess.Popen(
            [sys.executable, "-m", "jobctl", "run", *words],
            env=environment,
            cwd=self.runner.directory,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str, settings: Mapping[str, str] | None = None) -> Ended:
        process = self.start(*words, settings=settings)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    @property
    def data(self) -> Path:
        return self.runner.directory / "data"

    @property
    def output_file(self) -> Path:
        return self.data / "output" / "x.log"

    @property
    def spooled(self) -> list[Path]:
        return sorted((self.data / "spool").glob("*.json"))


def row(base: Base) -> tuple[Any, ...]:
    (found,) = base.all(
        "SELECT scope, status, exit_code, error_class, error_message, output FROM ops.job_history WHERE job = 'run'"
        " ORDER BY started_at DESC LIMIT 1"
    )
    return found


SHORT = {
    "JOBCTL_KILL_GRACE_S": "3",
    "JOBCTL_LEASE_S": "2",
    "JOBCTL_HEARTBEAT_S": "0.3",
    "JOBCTL_LOCK_TIMEOUT_MS": "300",
    "JOBCTL_STATEMENT_TIMEOUT_MS": "1000",
    "JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "1500",
}


def below(directory: Path) -> list[int]:
    """Every living process that works in the directory: also one whose environment was emptied."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cwd").readlink() == directory:
                    found.append(int(entry.name))
    return found


def worker_of(process: "subprocess.Popen[bytes]") -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if b"jobctl" in Path(f"/proc/{pid}/cmdline").read_bytes())
