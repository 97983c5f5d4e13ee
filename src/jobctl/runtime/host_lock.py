"""A lock among the processes of one host, for commands that may run without a database to ask. It keeps no other host
away, and goes with its process, however that ends."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from jobctl import log
from jobctl.runtime.identity import Identity

LOG = log.get_logger()


@contextmanager
def held(directory: Path, identity: Identity, scope: str) -> Generator[str | None, None, None]:
    """Hold it meanwhile (None), or tell who does.

    Where no file can be made the run goes on without: the database's lock is the one that counts."""
    path = directory / f"{identity.job}-{scope}.lock"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        LOG.warning("host_lock_not_taken", path=str(path), error=error)
        yield None
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "a run that is just starting"
            return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"run {identity.run_id} (pid {os.getpid()})\n".encode(), 0)
        yield None
    finally:
        os.close(descriptor)
