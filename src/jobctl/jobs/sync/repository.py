"""A repository as GitHub's API describes it, read into the facts of a project. Pure."""

from typing import Any

from jobctl.github.reading import flag, inner, moment, moment_or_none, object_of, text, text_or_none, whole
from jobctl.projects.project import Facts


def facts_of(answer: Any, where: str) -> Facts:
    """Raises BadAnswer."""
    of = object_of(answer, where)
    inner(of, "owner", where)
    return Facts(
        node_id=text(of, "node_id", where),
        github_id=whole(of, "id", where),
        full_name=text(of, "full_name", where),
        description=text_or_none(of, "description", where),
        default_branch=text_or_none(of, "default_branch", where),
        language=text_or_none(of, "language", where),
        is_private=flag(of, "private", where),
        is_fork=flag(of, "fork", where),
        is_archived=flag(of, "archived", where),
        stars=whole(of, "stargazers_count", where),
        created_on_github_at=moment(of, "created_at", where),
        pushed_at=moment_or_none(of, "pushed_at", where),
    )
