"""Which branches a run of ingest-branch is about."""

from collections.abc import Sequence

import psycopg

from jobctl.branches import store as branches
from jobctl.branches.branch import unknown_branch
from jobctl.errors import ConfigurationError


def branches_to_ingest(conn: psycopg.Connection, *, asked: Sequence[str], configured: str | None) -> list[str]:
    """The branches asked for, else that of BRANCH_SLUG, else all activated ones, by slug.

    Raises UsageError for an unknown branch that was asked for, ConfigurationError for one that is configured."""
    known = {branch.slug: branch for branch in branches.list_branches(conn)}
    for slug in asked:
        if slug not in known:
            raise unknown_branch(slug, known)
    if asked:
        return list(dict.fromkeys(asked))
    if configured is not None:
        if configured not in known:
            raise ConfigurationError(f"BRANCH_SLUG names no branch: {configured!r}", hint="see: jobctl branch list")
        return [configured]
    return sorted(slug for slug, branch in known.items() if branch.active)
