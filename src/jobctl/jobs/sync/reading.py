"""What GitHub's REST API says of a project's objects, read into their rows. Pure; raises BadAnswer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from jobctl.github.failures import BadAnswer
from jobctl.github.reading import (
    Object,
    flag,
    inner,
    inner_or_none,
    moment,
    moment_or_none,
    object_of,
    objects_of,
    text,
    text_or_none,
    whole,
)
from jobctl.projects.objects.rows import Commit, Contributor, Issue, Label, Language, Milestone, Release

INTEGER: Final = 1 << 31
LONGEST_SUBJECT: Final = 500
BOT: Final = "[bot]"


class Who(NamedTuple):
    login: str | None
    is_bot: bool


NOBODY: Final = Who(None, False)  # the account was deleted


class IssuePage(NamedTuple):
    """The issues of a page, and the labels and milestones inside them, each of them once."""

    issues: list[Issue]
    labels: list[Label]
    milestones: list[Milestone]
    payloads: Mapping[str, Object]  # by node id


def who(of: Object, name: str, where: str) -> Who:
    """GitHub gives null, and in old commits an empty object, for an account that is no more."""
    found = inner_or_none(of, name, where)
    if not found:
        return NOBODY
    login = text(found, "login", f"{where}.{name}")
    return Who(login, found.get("type") == "Bot" or login.endswith(BOT))


def count_of(of: Object, name: str, where: str) -> int:
    """A number that fits into PostgreSQL's integer."""
    value = whole(of, name, where)
    if not 0 <= value < INTEGER:
        raise BadAnswer(f"{where}.{name}: another number where a count is due")
    return value


def issue_page(answer: Any, where: str) -> IssuePage:
    """One that stands twice counts as it was changed last."""
    issues: dict[str, Issue] = {}
    labels: dict[int, Label] = {}
    milestones: dict[int, Milestone] = {}
    payloads: dict[str, Object] = {}
    for of in objects_of(answer, where):
        issue = issue_of(of, where)
        if issue.node_id in issues and issues[issue.node_id].updated_at > issue.updated_at:
            continue
        issues[issue.node_id] = issue
        payloads[issue.node_id] = of
        labels |= {each.label_id: each for each in map(label_of, _inside(of, "labels", where))}
        milestone = inner_or_none(of, "milestone", where)
        if milestone is not None:
            read = milestone_of(milestone)
            milestones[read.milestone_id] = read
    if len({issue.number for issue in issues.values()}) != len(issues):
        raise BadAnswer(f"{where}: two issues have one number")
    return IssuePage(list(issues.values()), list(labels.values()), list(milestones.values()), payloads)


def issue_of(of: Object, where: str) -> Issue:
    author = who(of, "user", where)
    state = text(of, "state", where)
    if state not in ("open", "closed"):
        raise BadAnswer(f"{where}.state: another text where open or closed is due")
    milestone = inner_or_none(of, "milestone", where)
    assignees = {text(each, "login", f"{where}.assignees") for each in _inside(of, "assignees", where)}
    return Issue(
        node_id=text(of, "node_id", where),
        github_id=whole(of, "id", where),
        number=whole(of, "number", where),
        is_pull=of.get("pull_request") is not None,
        title=text_or_none(of, "title", where) or "",
        body=text_or_none(of, "body", where),
        state=state,
        state_reason=text_or_none(of, "state_reason", where),
        author=author.login,
        author_is_bot=author.is_bot,
        assignees=tuple(sorted(assignees)),
        label_ids=tuple(sorted({whole(each, "id", f"{where}.labels") for each in _inside(of, "labels", where)})),
        milestone_id=whole(milestone, "id", f"{where}.milestone") if milestone is not None else None,
        comments=count_of(of, "comments", where),
        is_locked=flag(of, "locked", where),
        created_at=moment(of, "created_at", where),
        updated_at=moment(of, "updated_at", where),
        closed_at=moment_or_none(of, "closed_at", where),
    )


def label_of(of: Object, where: str = "label") -> Label:
    return Label(
        label_id=whole(of, "id", where),
        name=text(of, "name", where),
        color=text_or_none(of, "color", where) or "",
        description=text_or_none(of, "description", where),
        node_id=text_or_none(of, "node_id", where),
    )


def milestone_of(of: Object, where: str = "milestone") -> Milestone:
    return Milestone(
        milestone_id=whole(of, "id", where),
        number=count_of(of, "number", where),
        title=text(of, "title", where),
        state=text(of, "state", where),
        due_on=moment_or_none(of, "due_on", where),
        created_at=moment(of, "created_at", where),
        updated_at=moment(of, "updated_at", where),
        closed_at=moment_or_none(of, "closed_at", where),
    )


class CommitRead(NamedTuple):
    """`commit` is None where git itself holds no time of it."""

    sha: str
    commit: Commit | None
    parents: tuple[str, ...]


def commit_of(of: Object, where: str = "commit") -> CommitRead:
    sha = text(of, "sha", where)
    parents = tuple(text(each, "sha", f"{where}.parents") for each in objects_of(of.get("parents"), where))
    git = inner(of, "commit", where)
    by = inner_or_none(git, "author", where) or {}
    committer = inner_or_none(git, "committer", where) or {}
    committed_at = _moment_if_any(committer, where) or _moment_if_any(by, where)
    if committed_at is None:
        return CommitRead(sha, None, parents)
    author = who(of, "author", where)
    message = text_or_none(git, "message", where) or ""
    commit = Commit(
        sha=sha,
        author=author.login,
        author_is_bot=author.is_bot,
        author_name=text_or_none(by, "name", where) or "",
        subject=message.strip().partition("\n")[0].strip()[:LONGEST_SUBJECT],
        authored_at=_moment_if_any(by, where) or committed_at,
        committed_at=committed_at,
    )
    return CommitRead(sha, commit, parents)


def contributor_of(of: Object, where: str = "contributor") -> Contributor:
    login = text(of, "login", where)
    return Contributor(
        github_id=whole(of, "id", where),
        login=login,
        is_bot=of.get("type") == "Bot" or login.endswith(BOT),
        contributions=whole(of, "contributions", where),
    )


def release_of(of: Object, where: str = "release") -> Release:
    return Release(
        release_id=whole(of, "id", where),
        tag=text(of, "tag_name", where),
        name=text_or_none(of, "name", where),
        is_draft=flag(of, "draft", where),
        is_prerelease=flag(of, "prerelease", where),
        created_at=moment(of, "created_at", where),
        published_at=moment_or_none(of, "published_at", where),
    )


def languages_of(answer: Any, where: str) -> list[Language]:
    of = object_of(answer, where)
    return [Language(name.replace("\0", "�"), whole(of, name, where)) for name in of if name]


def _inside(of: Object, name: str, where: str) -> list[Object]:
    return objects_of(of.get(name), f"{where}.{name}")


def _moment_if_any(of: Object, where: str) -> datetime | None:
    """Git keeps whatever a clock said, also what is no date."""
    try:
        return moment_or_none(of, "date", where)
    except BadAnswer:
        return None
