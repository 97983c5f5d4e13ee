"""Rejects as NDJSON, to a file or to stdout. A file appears when it is whole, readable by its owner alone."""

import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TextIO

from jobctl.branches.rejects import Reject
from jobctl.cli.branch_views import reject_object
from jobctl.errors import UsageError


def export_rejects(rejects: Iterable[Reject], target: str) -> int:
    """How many were written."""
    if target == "-":
        return _write(rejects, sys.stdout)
    path = Path(target)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                count = _write(rejects, file)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write {target}: {error.strerror}", hint="name a file in a directory that is yours"
        ) from error
    return count


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _write(rejects: Iterable[Reject], stream: TextIO) -> int:
    count = 0
    for reject in rejects:
        stream.write(json.dumps(reject_object(reject), default=_plain, ensure_ascii=False) + "\n")
        count += 1
    stream.flush()
    return count
