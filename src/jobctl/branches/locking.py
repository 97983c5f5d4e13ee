"""One at a time: loads, replays and the removal of a branch lock its row and wait for each other, for a while."""

import psycopg

from jobctl.branches import store
from jobctl.branches.branch import Branch
from jobctl.errors import SourceError

_LOCK_NOT_AVAILABLE = "55P03"


def lock_branch(conn: psycopg.Connection, branch: Branch) -> Branch:
    """The branch as it is now, locked until the transaction ends. SourceError: it stays locked or is gone."""
    try:
        locked = store.lock(conn, branch.branch_id)
    except psycopg.Error as error:
        if error.sqlstate != _LOCK_NOT_AVAILABLE:
            raise
        raise SourceError(
            f"branch {branch.slug!r} is being loaded, replayed or removed by another process",
            hint="try again when that has ended",
        ) from error
    if locked is None:
        raise SourceError(f"branch {branch.slug!r} was removed meanwhile", hint="see: jobctl branch list")
    return locked
