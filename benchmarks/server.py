"""A PostgreSQL of its own for a benchmark: the embedded binaries with their durable settings, in a scratch folder."""

import platform
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from jobctl.db import embedded
from jobctl.db.connection import Database, Limits
from jobctl.db.migrate import migrate


@contextmanager
def scratch_server() -> Generator[tuple[Path, Database], None, None]:
    """Gives the data directory (for JOBCTL_DATA_DIR) and a database with the schema; all of it goes at the end."""
    parent = Path(tempfile.mkdtemp(prefix="jobctl-bench-", dir="/var/tmp"))
    parent.chmod(0o711)
    data_dir = parent / "data"
    try:
        dsn = embedded.ensure_running(data_dir, run_as_user="nobody")
        database = Database(dsn, "jobctl-bench", limits=Limits(0, 0, 0))
        migrate(database)
        yield data_dir, database
    finally:
        embedded.stop(data_dir, wait_s=30, force=True)
        shutil.rmtree(parent, ignore_errors=True)


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    cores = len([line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")])
    return f"{cores} cores, {model}, Python {platform.python_version()}"
