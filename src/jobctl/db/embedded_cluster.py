"""Make the database cluster, and write the configuration it is started with.

A cluster is made in a sibling directory, database and all, and gets its name last: whoever finds `data` finds a whole
one, and what an interrupted attempt left is swept away by the next.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from jobctl.db.embedded_binaries import Binaries
from jobctl.db.embedded_layout import DATABASE, USER, Layout, replace_file
from jobctl.errors import DatabaseUnavailable

CREATE_LIMIT_S = 120
OWN_CONFIGURATION = "jobctl.conf"
# The environment of every PostgreSQL process: cron's may be empty, a user's may hold PGDATA, PGOPTIONS or a locale.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "jobctl",
    "jit": "off",
    # Shared memory as files of the data directory: a container's /dev/shm is too small, and a log-out of the owner
    # empties it (RemoveIPC of systemd-logind) under a server that stays.
    "dynamic_shared_memory_type": "mmap",
    # Errors go to the client, which redacts them. In this log they would be row data and secrets in clear.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "lc_messages": "C",
}
# The owner and root log in as the database's user because of who they are; anybody else needs a role with a password.
HOST_BASED = f"""# Written by jobctl at each start.
local all {USER} peer map={USER}
local all all scram-sha-256
"""


def create(layout: Layout, binaries: Binaries, *, fsync: bool) -> None:
    """Make the cluster with its database and put it in its place. The caller holds both locks."""
    for left_over in layout.server_dir.glob("data.new-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    new = layout.server_dir / f"data.new-{os.getpid()}"
    deadline = time.monotonic() + CREATE_LIMIT_S
    initdb = [binaries.initdb, "-D", new, "-U", USER, "--auth=peer", "--encoding=UTF8", "--data-checksums"]
    _run([*initdb, *_locale(binaries), *([] if fsync else ["--no-sync"])], "", deadline)
    with (new / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(f"\ninclude_if_exists = '{OWN_CONFIGURATION}'\n")
    single = [binaries.postgres, "--single", "-D", new, *([] if fsync else ["-F"]), "postgres"]
    _run(single, f"CREATE DATABASE {DATABASE}\n", deadline)
    new.rename(layout.pgdata)
    _sync_directory(layout.server_dir)


def configure(layout: Layout, owner_name: str, socket_dir: str, extra_settings: Mapping[str, str]) -> None:
    """Write what jobctl decides, anew at each start. An operator's own settings belong to ALTER SYSTEM, which wins."""
    settings = {**SETTINGS, "unix_socket_directories": f'"{socket_dir}"', **extra_settings}
    lines = [f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()]
    note = "# Written by jobctl at each start; for settings of your own use ALTER SYSTEM.\n"
    replace_file(layout.pgdata / OWN_CONFIGURATION, note + "".join(lines))
    replace_file(layout.pgdata / "pg_hba.conf", HOST_BASED)
    names = "".join(f'{USER} "{name}" {USER}\n' for name in dict.fromkeys((owner_name, "root")))
    replace_file(layout.pgdata / "pg_ident.conf", f"# Written by jobctl at each start.\n{names}")


def major_of(pgdata: Path) -> int | None:
    """The major version of the data, or None if there is no cluster yet."""
    try:
        return int((pgdata / "PG_VERSION").read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None


def _locale(binaries: Binaries) -> list[str]:
    """Code point order everywhere, and upper and lower case for every script where it can be had."""
    if binaries.major() >= 17:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    return ["--locale=C"]


def _run(command: list[str | Path], stdin: str, deadline: float) -> None:
    try:
        done = subprocess.run(
            command,
            input=stdin.encode(),
            capture_output=True,
            check=False,
            env=ENVIRONMENT,
            cwd="/",
            timeout=max(1.0, deadline - time.monotonic()),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatabaseUnavailable(f"the embedded PostgreSQL could not be created: {error}") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        said = next((line for line in lines if "FATAL" in line or "error:" in line), (lines or ["no reason given"])[-1])
        raise DatabaseUnavailable(f"the embedded PostgreSQL could not be created: {said}")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
