"""Where the embedded server keeps its things, and the note it leaves about itself.

    <data dir>/postgres/            0700, the owner's: only the owner and root come past it
        data/                       the database cluster
        start.lock                  held while somebody starts or stops the server
        server.lock                 held by the server itself, by every one of its processes, for as long as it lives
        server.json                 where its socket is, and which host it belongs to
        server.log                  what PostgreSQL says
        .s.PGSQL.5432               the socket, unless this path is too long for one

Nothing lies in a shared temporary directory, so two accounts or two TMPDIRs cannot meet there. Only a data directory
whose path is too long for a socket gets a directory under /tmp: made by `mkdtemp` (unguessable, 0700), noted in
`server.json`, and believed later only while it is ours, closed to others and no symbolic link.
"""

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from jobctl.errors import ConfigurationError

USER = "jobctl"
DATABASE = "jobctl"
PORT = 5432
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_BYTES = 107  # sun_path without its closing NUL
SHORT_PARENT = "/tmp"  # noqa: S108 - on purpose not TMPDIR: every process must come to the same place


class Layout(NamedTuple):
    """The paths below one data directory."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Layout":
        path = os.path.realpath(data_dir.expanduser())
        if any(ord(c) < 32 or ord(c) == 127 for c in path):
            raise ConfigurationError(
                f"the data directory's name {path!r} holds control characters", hint="set JOBCTL_DATA_DIR"
            )
        return cls(Path(path))

    @property
    def server_dir(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def pgdata(self) -> Path:
        return self.server_dir / "data"

    @property
    def pid_file(self) -> Path:
        return self.pgdata / "postmaster.pid"

    @property
    def start_lock(self) -> Path:
        return self.server_dir / "start.lock"

    @property
    def server_lock(self) -> Path:
        return self.server_dir / "server.lock"

    @property
    def record(self) -> Path:
        return self.server_dir / "server.json"

    @property
    def log(self) -> Path:
        return self.server_dir / "server.log"


class Record(NamedTuple):
    """What `server.json` says."""

    socket_dir: str
    host: str

    @property
    def socket(self) -> str:
        return f"{self.socket_dir}/{SOCKET_NAME}"


def read_record(layout: Layout) -> Record | None:
    """The note, or None where there is none yet (or none that can be read: the next start writes it anew)."""
    try:
        fields = json.loads(layout.record.read_bytes())
        return Record(socket_dir=str(fields["socket_dir"]), host=str(fields["host"]))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def write_record(layout: Layout, record: Record) -> None:
    replace_file(layout.record, json.dumps(record._asdict()) + "\n")


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def socket_dir_for(layout: Layout, recorded: str | None) -> str:
    """Where the socket goes: beside the data, or where that path cannot carry one, to a short private directory."""
    beside = str(layout.server_dir)
    if _fits(beside):
        return beside
    if recorded is not None and recorded != beside and _is_private(recorded):
        return recorded
    try:
        return tempfile.mkdtemp(prefix=f"jobctl-{os.geteuid()}-", dir=SHORT_PARENT)
    except OSError as error:
        raise ConfigurationError(
            f"{beside} is no place for a socket, and {SHORT_PARENT} is none either: {error.strerror}",
            hint=f"set JOBCTL_DATA_DIR to a path below {SOCKET_PATH_BYTES - len('/postgres/' + SOCKET_NAME)} bytes",
        ) from error


def _fits(directory: str) -> bool:
    """The kernel limits the length; libpq and PostgreSQL take a comma or a quote for syntax; libpq wants UTF-8."""
    try:
        return len(f"{directory}/{SOCKET_NAME}".encode()) <= SOCKET_PATH_BYTES and not set(directory) & {",", '"'}
    except UnicodeEncodeError:
        return False


def _is_private(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077 == 0


def dsn_of(socket_dir: str, database: str = DATABASE) -> str:
    """The connection string. The port is named so that PGPORT in an operator's environment does not change it."""
    host, name = (value.replace("\\", "\\\\").replace("'", "\\'") for value in (socket_dir, database))
    return f"host='{host}' port={PORT} user={USER} dbname='{name}'"
