"""What GitHub holds in a project, each as a row of its table has it. Pure."""

from datetime import datetime
from typing import NamedTuple


class Label(NamedTuple):
    label_id: int
    name: str
    color: str
    description: str | None
    node_id: str | None


class Milestone(NamedTuple):
    milestone_id: int
    number: int
    title: str
    state: str
    due_on: datetime | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None


class Issue(NamedTuple):
    """Or a pull request, as far as it is one. Assignees and labels are sorted: their order says nothing."""

    node_id: str
    github_id: int
    number: int
    is_pull: bool
    title: str
    body: str | None
    state: str
    state_reason: str | None
    author: str | None
    author_is_bot: bool
    assignees: tuple[str, ...]
    label_ids: tuple[int, ...]
    milestone_id: int | None
    comments: int
    is_locked: bool
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None


class IssueDetails(NamedTuple):
    """`detailed_for` is the updated_at that they were asked for; None: they were asked for so soon after it that they
    are due once more."""

    node_id: str
    detailed_for: datetime | None
    first_response_at: datetime | None
    reopened: int


class LabelEvent(NamedTuple):
    """An issue got a label, or lost it."""

    node_id: str
    label_node_id: str
    at: datetime
    is_added: bool


class AssigneeEvent(NamedTuple):
    """An issue was assigned to somebody, or taken from them."""

    node_id: str
    login: str
    at: datetime
    is_added: bool


class Pull(NamedTuple):
    node_id: str
    is_draft: bool
    merged_at: datetime | None
    merged_by: str | None
    merge_commit: str | None
    base_branch: str
    head_branch: str
    additions: int
    deletions: int
    changed_files: int
    commits: int
    first_commit_at: datetime | None
    ready_at: datetime | None
    first_review_at: datetime | None


class Review(NamedTuple):
    node_id: str
    pull_node_id: str
    author: str | None
    author_is_bot: bool
    state: str
    submitted_at: datetime
    commit_sha: str | None


class Commit(NamedTuple):
    sha: str
    author: str | None
    author_is_bot: bool
    author_name: str
    subject: str
    authored_at: datetime
    committed_at: datetime


class Contributor(NamedTuple):
    github_id: int
    login: str
    is_bot: bool
    contributions: int


class Release(NamedTuple):
    release_id: int
    tag: str
    name: str | None
    is_draft: bool
    is_prerelease: bool
    created_at: datetime
    published_at: datetime | None


class Language(NamedTuple):
    name: str
    bytes: int
