"""A lock among the processes of one host, for a run that has no database to ask: it keeps no other host away."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(directory: Path, job: str, scope: str) -> Generator[bool, None, None]:
    """Whether this process has the lock now; it goes with the process."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{job}-{scope}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
