"""The PostgreSQL servers that tests start: one for all of a test process, and ones to be ill-treated.

JOBCTL_TEST_PG_BIN=/usr/lib/postgresql/15/bin runs all on those binaries instead of the wheel's.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from jobctl.db import embedded
from jobctl.db.address import to_url
from jobctl.db.embedded_layout import Layout

# No test depends on what a power cut leaves, and many small servers share a small machine.
TEST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}

CALL = """
import sys
from pathlib import Path
import psycopg
from jobctl.db import embedded

dsn = embedded.ensure_running(
    Path(sys.argv[1]), run_as_user=sys.argv[2], bin_dir=Path(sys.argv[3]) if sys.argv[3] else None,
    extra_settings=dict(pair.split("=") for pair in sys.argv[4].split()),
)
with psycopg.connect(dsn) as conn:
    print(conn.execute("SELECT pg_postmaster_start_time()::text").fetchone()[0])
"""


def pg_bin_dir() -> Path | None:
    """The binaries to test with: those of JOBCTL_TEST_PG_BIN, else the wheel's."""
    named = os.environ.get("JOBCTL_TEST_PG_BIN")
    return Path(named) if named else None


def run_as_user() -> str:
    """For root, the account that test servers run under. It exists everywhere, so that tests create no user."""
    return "nobody"


def is_root() -> bool:
    return os.geteuid() == 0


@contextmanager
def reachable_directory() -> Generator[Path, None, None]:
    """A temporary directory with a short path that `run_as_user` can pass through (pytest's own is closed to it)."""
    path = Path(tempfile.mkdtemp(prefix="jobctl-test-", dir="/tmp"))
    try:
        path.chmod(0o711)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class Bench:
    """One data directory with its server, which is started by whoever asks first."""

    data_dir: Path
    user: str = field(default_factory=run_as_user)
    bin_dir: Path | None = field(default_factory=pg_bin_dir)

    @property
    def layout(self) -> Layout:
        return Layout.of(self.data_dir)

    def start(self, *, limit_s: float = 60, adopt: bool = False, settings: Mapping[str, str] = TEST_SETTINGS) -> str:
        return embedded.ensure_running(
            self.data_dir,
            run_as_user=self.user,
            start_limit_s=limit_s,
            bin_dir=self.bin_dir,
            extra_settings=settings,
            adopt=adopt,
        )

    def stop(self) -> bool:
        return embedded.stop(self.data_dir, wait_s=10, force=True)

    def kill(self) -> int:
        """The death that cannot be caught, and a wait until none of its processes is left."""
        pid = self.postmaster()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not has_processes(self.layout.pgdata))
        return pid

    def postmaster(self) -> int:
        pid = embedded.status(self.data_dir).pid
        assert pid is not None
        return pid

    def dsn(self, name: str) -> str:
        return make_conninfo(embedded.dsn(self.data_dir), dbname=name)

    def url(self, name: str) -> str:
        return to_url(self.dsn(name))

    def caller(self) -> list[str]:
        """The command of another process that comes to the same server and prints when that was started."""
        settings = " ".join(f"{name}={value}" for name, value in TEST_SETTINGS.items())
        return [sys.executable, "-c", CALL, str(self.data_dir), self.user, str(self.bin_dir or ""), settings]

    def call(self, *before: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run it, behind other words (`env -i`, `setsid`) if there are any."""
        return subprocess.run(
            [*before, *self.caller()], capture_output=True, text=True, check=False, env=env, cwd="/", timeout=90
        )


@contextmanager
def fresh_bench(below: str = "data") -> Generator[Bench, None, None]:
    with reachable_directory() as parent:
        bench = Bench(parent / below)
        try:
            yield bench
        finally:
            bench.stop()


def ask(dsn: str, question: str = "SELECT 1") -> object:
    with psycopg.connect(dsn) as conn:
        row = conn.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def processes_in(pgdata: Path) -> list[int]:
    """Every process that stands in the directory, found another way than the code under test does it."""
    return [pid for pid in all_pids() if _directory_of(pid) == pgdata]


def has_processes(pgdata: Path) -> bool:
    return bool(processes_in(pgdata))


def postmasters_in(pgdata: Path) -> list[int]:
    """Those of them that are nobody's child in there: there must be one."""
    every = processes_in(pgdata)
    return [pid for pid in every if parent_of(pid) not in (*every, None)]


def children_of(parent: int) -> list[int]:
    return [pid for pid in all_pids() if parent_of(pid) == parent]


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def parent_of(pid: int) -> int | None:
    """None if it has gone by now."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return None


def _directory_of(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def wait_for(condition: Callable[[], bool], limit_s: float = 120) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
