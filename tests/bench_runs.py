"""The command under test, as real processes: started, watched, killed, and never left behind.

Each process carries a token in its environment, by which all of a run can be found whoever its parent is by then.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench_postgres import wait_for

SOURCE = Path(__file__).parent.parent / "src"
LONGEST_RUN_S = 90.0

# Limits in their order, small enough to be waited for.
SHORT_LIMITS = {
    "JOBCTL_LOCK_TIMEOUT_MS": "300",
    "JOBCTL_STATEMENT_TIMEOUT_MS": "1000",
    "JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "1500",
    "JOBCTL_LEASE_S": "2",
    "JOBCTL_HEARTBEAT_S": "0.3",
    "JOBCTL_KILL_GRACE_S": "3",
}


def is_full() -> bool:
    """Whether the torture tests run at their full size."""
    return os.environ.get("JOBCTL_TORTURE") == "full"


def size(ci: int, full: int) -> int:
    return full if is_full() else ci


@dataclass(frozen=True)
class Base:
    """A database of its own, with an open connection that has no limits."""

    name: str
    url: str
    dsn: str
    conn: psycopg.Connection

    def one(self, question: str, *parameters: object) -> Any:
        row = self.conn.execute(question.encode(), parameters or None).fetchone()
        assert row is not None
        return row[0]

    def all(self, question: str, *parameters: object) -> list[Any]:
        return self.conn.execute(question.encode(), parameters or None).fetchall()

    def last_status(self) -> str:
        return self.one("SELECT status FROM ops.job_history ORDER BY started_at DESC, run_id LIMIT 1")


@dataclass(frozen=True, slots=True)
class Ended:
    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def said(self) -> str:
        return f"exit {self.exit_code}\n{self.stdout.decode(errors='replace')}{self.stderr.decode(errors='replace')}"


@dataclass
class Started:
    """A run that is under way. `pid` is the supervisor's."""

    process: "subprocess.Popen[bytes]"
    token: str
    correlation_id: str

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def worker(self, limit_s: float = 30) -> int:
        """The worker's pid, as soon as there is one."""
        found: list[int] = []

        def look() -> bool:
            found[:] = self._workers()
            return bool(found) or not self.is_alive

        wait_for(look, limit_s)
        assert found, f"the run ended before it had a worker: exit {self.process.returncode}"
        return found[0]

    def _workers(self) -> list[int]:
        return [pid for pid in processes_with(self.token) if pid != self.pid]

    def signal(self, number: int, *, supervisor: bool = True, worker: bool = True) -> None:
        """To either or both, whichever is there. The supervisor first, so that it cannot answer for the worker."""
        workers = self._workers() if worker else []
        for pid in ([self.pid] if supervisor and self.is_alive else []) + workers:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait(self, limit_s: float = LONGEST_RUN_S) -> Ended:
        out, err = self.process.communicate(timeout=limit_s)
        return Ended(self.process.returncode, out or b"", err or b"")

    def wait_for_all(self, limit_s: float = 30) -> None:
        """Until the supervisor has been reaped and no worker of it is left."""
        self.process.wait(limit_s)
        wait_for(lambda: not processes_with(self.token), limit_s)

    def end(self) -> None:
        """Whatever is left of it, at once."""
        self.signal(signal.SIGKILL)
        self.signal(signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.signal(signal.SIGKILL)
        for stream in (self.process.stdout, self.process.stderr, self.process.stdin):
            if stream is not None:
                stream.close()


@dataclass
class Runner:
    """Starts runs of a job against one database, in a directory of its own. `code` is the tree that is run."""

    directory: Path
    url: str
    code: Path = SOURCE
    settings: dict[str, str] = field(default_factory=dict[str, str])
    started: list[Started] = field(default_factory=list[Started])
    job: str = "ingest-branch"

    @property
    def log_file(self) -> Path:
        return self.directory / "jobctl.log"

    @property
    def logged(self) -> str:
        """What the log holds by now; the file is there with its first line."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.directory),
            "PYTHONPATH": str(self.code),
            "DATABASE_URL": self.url,
            "JOBCTL_LOG_FILE": str(self.log_file),
            # Of its own: what is kept there for a database that was away comes into the next one that is met.
            "JOBCTL_DATA_DIR": str(self.directory / "data"),
            "JOBCTL_DEGRADED_REJECT_SHARE": "1",
            **self.settings,
        }

    def start(
        self,
        *arguments: str,
        url: str | None = None,
        settings: Mapping[str, str] | None = None,
        before: tuple[str, ...] = (),
    ) -> Started:
        token = uuid.uuid4().hex
        correlation = token[:12]
        environment = self.environment() | dict(settings or {}) | {"TORTURE_TOKEN": token}
        if url is not None:
            environment["DATABASE_URL"] = url
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "jobctl", self.job, "--correlation-id", correlation, *arguments],
            env=environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started = Started(process, token, correlation)
        self.started.append(started)
        return started

    def run(self, *arguments: str, url: str | None = None, settings: Mapping[str, str] | None = None) -> Ended:
        started = self.start(*arguments, url=url, settings=settings)
        try:
            return started.wait()
        finally:
            started.end()

    def succeed(self, *arguments: str, url: str | None = None) -> Ended:
        ended = self.run(*arguments, url=url)
        assert ended.exit_code == 0, ended.said
        return ended

    def end_all(self) -> None:
        for started in self.started:
            started.end()


NewBase = Callable[..., Base]
NewRunner = Callable[..., Runner]


def mutated(directory: Path, *changes: tuple[str, str, str]) -> Path:
    """A copy of the code with something taken out of it: (module, pattern, replacement). Each pattern must be found
    exactly once, or the mutant is none."""
    copy = directory / "mutant"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for module, pattern, replacement in changes:
        path = copy / "jobctl" / module
        text, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count == 1, f"{module} has {count} times: {pattern}"
        path.write_text(text, encoding="utf-8")
    return copy


def processes_with(token: str) -> list[int]:
    """Every process, zombies apart, that was started with this token or came of one that was."""
    wanted = f"TORTURE_TOKEN={token}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def is_stopped(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"T", b"t")
    return False


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
