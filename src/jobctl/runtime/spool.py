"""Runs that the database could not hear of, kept on disk until it can: history has no hole.

A file a run, written whole (temporary name, fsync, rename, fsync of the directory), read in the order in which the runs
began, and removed after its rows are committed. A death between commit and removal has it read again, which changes
nothing: rows have the run's id for a key. What cannot be read, or what the database will not have, is put aside as
`.bad` and stops nobody.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from jobctl import log
from jobctl.runtime import history
from jobctl.runtime.identity import Identity, Who
from jobctl.runtime.outcome import FAILED, ErrorReport, ScopeReport

LOG = log.get_logger()

FORMAT = 1
MOST_FILES = 10_000
MOST_AT_ONCE = 500


def keep(directory: Path, identity: Identity, scopes: Sequence[ScopeReport]) -> Path | None:
    """Write a run's rows to disk. A full disk fails no run; the log says so."""
    content = {
        "format": FORMAT,
        "identity": {name: _plain(value) for name, value in identity._asdict().items()},
        "scopes": [_scope_as_json(scope) for scope in scopes],
    }
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(_names(directory)) >= MOST_FILES:
            LOG.error("spool_full", directory=str(directory), most=MOST_FILES)
            return None
        _remove_unfinished(directory)
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".new-")  # 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        path = directory / f"{scopes[0].started_at.astimezone(UTC):%Y%m%dT%H%M%S.%f}-{identity.run_id}.json"
        Path(temporary).replace(path)
        _sync_directory(directory)
    except OSError as error:
        LOG.error("run_not_spooled", error=error)  # noqa: TRY400 - one line, no stack
        return None
    LOG.warning("run_spooled", path=str(path))
    return path


Told = Callable[..., None]


def replay(conn: psycopg.Connection, directory: Path, alert: Told) -> int:
    """Bring what was kept into history, oldest first, and `alert` of it in the same transaction; gives how many runs.

    Several processes at once double nothing: a run's row is written once, and who comes second finds it there."""
    replayed = 0
    for name in _names(directory)[:MOST_AT_ONCE]:
        path = directory / name
        try:
            identity, scopes = _read(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue  # another process was first
        except (OSError, ValueError, KeyError, TypeError) as error:
            _put_aside(path, error)
            continue
        try:
            with conn.transaction():
                for scope in scopes:
                    if history.replay(conn, identity, scope):
                        alert(conn, scope, who=Who(identity.job, identity.run_id, identity.host))
        except psycopg.Error as error:
            if not isinstance(error, psycopg.DataError | psycopg.IntegrityError):
                LOG.warning("spool_not_replayed", error=error)  # the next run tries again
                break
            _put_aside(path, error)  # the database will not have it, today or tomorrow
            continue
        with suppress(OSError):
            path.unlink()
        replayed += 1
        LOG.info("run_replayed", replayed_run_id=str(identity.run_id), replayed_job=identity.job)
    return replayed


def _put_aside(path: Path, error: Exception) -> None:
    with suppress(OSError):
        path.replace(path.with_suffix(".bad"))
    LOG.error("spooled_run_not_replayed", path=str(path), error=error)


def _remove_unfinished(directory: Path) -> None:
    """What a death while writing left: nobody writes for an hour."""
    for path in directory.glob(".new-*"):
        if path.stat().st_mtime < time.time() - 3_600:
            path.unlink(missing_ok=True)


def _names(directory: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(directory) if entry.name.endswith(".json"))
    except OSError:
        return []


def _scope_as_json(scope: ScopeReport) -> dict[str, object]:
    exit_code = scope.error.exit_code if scope.error is not None else None
    return {**scope.as_json(), "error_exit_code": exit_code, "peak_memory_bytes": scope.peak_memory_bytes}


def _read(text: str) -> tuple[Identity, Sequence[ScopeReport]]:
    content: dict[str, Any] = json.loads(text)
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']} is not known")
    given: dict[str, Any] = content["identity"]
    slot_at = given["slot_at"]
    identity = Identity(
        run_id=UUID(given["run_id"]),
        job=str(given["job"]),
        correlation_id=str(given["correlation_id"]),
        host=str(given["host"]),
        os_user=str(given["os_user"]),
        supervisor_pid=int(given["supervisor_pid"]),
        version=str(given["version"]),
        command=str(given["command"]),
        slot_at=datetime.fromisoformat(slot_at) if slot_at else None,
    )
    return identity, [_scope(scope) for scope in content["scopes"]]


def _scope(given: dict[str, Any]) -> ScopeReport:
    error = given["error"]
    return ScopeReport(
        scope=str(given["scope"]),
        status=str(given["status"]),
        started_at=datetime.fromisoformat(given["started_at"]),
        finished_at=datetime.fromisoformat(given["finished_at"]),
        duration_ms=int(given["duration_ms"]),
        counts={str(name): int(number) for name, number in given["counts"].items()},
        metrics={str(name): float(number) for name, number in given["metrics"].items()},
        notes=[str(note) for note in given["notes"]],
        degraded=bool(given["degraded"]),
        error=ErrorReport(error["class"], error["message"], error["hint"], int(given["error_exit_code"]), FAILED)
        if error
        else None,
        evidence=given["evidence"],
        peak_memory_bytes=int(given["peak_memory_bytes"]),
        output=given["output"],
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
