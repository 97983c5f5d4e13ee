"""What GitHub holds, as a test wants it: accounts, repositories, issues, pull requests and what hangs on them.

A test changes it by the verbs that people use (open, edit, close, merge, transfer, rename), also between two pages of a
list. Its clock is its own and goes on a second with each change, so that `updated_at` is what GitHub's would be: whole
seconds, several changes in one where a test stops the clock (`seconds_a_change = 0`). Or it `follows` a clock, as
GitHub's does: then a change has the second in which it is made.

`bench_github` serves it; the shapes it is served in are checked against GitHub's published description by
tests/unit/test_github_contract.py.
"""

import base64
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

Access = Literal["ok", "forbidden", "missing", "blocked"]


@dataclass(eq=False)
class Account:
    id: int
    login: str
    kind: Literal["User", "Organization", "Bot"] = "User"

    @property
    def node_id(self) -> str:
        return _node({"User": "U", "Organization": "O", "Bot": "BOT"}[self.kind], self.id)


@dataclass(eq=False)
class Label:
    id: int
    name: str
    color: str = "ededed"
    description: str | None = None

    @property
    def node_id(self) -> str:
        return _node("LA", self.id)


@dataclass(eq=False)
class Milestone:
    id: int
    number: int
    title: str
    creator: Account
    created_at: datetime
    updated_at: datetime
    state: str = "open"
    due_on: datetime | None = None
    closed_at: datetime | None = None

    @property
    def node_id(self) -> str:
        return _node("MI", self.id)


@dataclass(eq=False)
class Review:
    id: int
    author: Account | None
    state: str
    submitted_at: datetime
    commit: str
    body: str = ""

    @property
    def node_id(self) -> str:
        return _node("PRR", self.id)


@dataclass(eq=False)
class Commit:
    """`at` is when it was committed; a rebase leaves the moment at which it was written."""

    sha: str
    author: Account | None
    message: str
    at: datetime
    parent: "Commit | None" = None
    written_at: datetime | None = None
    merged: "Commit | None" = None  # the second parent of a merge

    @property
    def parents(self) -> "list[Commit]":
        return [each for each in (self.parent, self.merged) if each is not None]

    @property
    def authored_at(self) -> datetime:
        return self.written_at or self.at

    @property
    def node_id(self) -> str:
        return "C_" + self.sha


@dataclass(eq=False)
class Release:
    id: int
    tag: str
    author: Account
    created_at: datetime
    published_at: datetime | None
    prerelease: bool = False
    draft: bool = False

    @property
    def node_id(self) -> str:
        return _node("RE", self.id)


@dataclass(eq=False)
class Comment:
    id: int
    author: Account | None
    created_at: datetime

    @property
    def node_id(self) -> str:
        return _node("IC", self.id)


@dataclass(eq=False)
class Event:
    """Of an issue's timeline; `kind` is GraphQL's type."""

    id: int
    kind: str
    actor: Account | None
    created_at: datetime
    label: Label | None = None
    assignee: Account | None = None


@dataclass(eq=False)
class Pull:
    """What a pull request has beyond an issue."""

    head: str
    base: str
    draft: bool = False
    merged_at: datetime | None = None
    merged_by: Account | None = None
    merge_commit: str | None = None
    additions: int = 10
    deletions: int = 3
    changed_files: int = 2
    commits: list[Commit] = field(default_factory=list[Commit])
    reviews: list[Review] = field(default_factory=list[Review])
    review_comments: int = 0


@dataclass(eq=False)
class Issue:
    id: int
    number: int
    title: str
    author: Account | None
    created_at: datetime
    updated_at: datetime
    body: str | None = None
    state: str = "open"
    state_reason: str | None = None
    closed_at: datetime | None = None
    labels: list[Label] = field(default_factory=list[Label])
    milestone: Milestone | None = None
    assignees: list[Account] = field(default_factory=list[Account])
    thread: list[Comment] = field(default_factory=list[Comment])
    events: list[Event] = field(default_factory=list[Event])
    locked: bool = False
    pull: Pull | None = None

    @property
    def comments(self) -> int:
        return len(self.thread)

    @property
    def node_id(self) -> str:
        return _node("I" if self.pull is None else "PR", self.id)

    @property
    def pull_id(self) -> int:
        """GitHub numbers a pull request twice: as an issue and as itself."""
        return self.id + 5_000_000


@dataclass(eq=False)
class Repo:
    id: int
    owner: Account
    name: str
    created_at: datetime
    updated_at: datetime
    pushed_at: datetime | None = None
    private: bool = False
    fork: bool = False
    archived: bool = False
    disabled: bool = False
    has_issues: bool = True
    description: str | None = None
    default_branch: str = "main"
    stars: int = 0
    access: Access = "ok"
    issues: dict[int, Issue] = field(default_factory=dict[int, Issue])
    labels: list[Label] = field(default_factory=list[Label])
    milestones: list[Milestone] = field(default_factory=list[Milestone])
    commits: list[Commit] = field(default_factory=list[Commit])  # of the default branch
    ever: dict[str, Commit] = field(default_factory=dict[str, Commit])  # what it ever had, by sha
    releases: list[Release] = field(default_factory=list[Release])
    languages: dict[str, int] = field(default_factory=dict[str, int])
    transferred: dict[int, tuple["Repo", int]] = field(default_factory=dict[int, "tuple[Repo, int]"])
    deleted: set[int] = field(default_factory=set[int])
    last_number: int = 0
    statistics_after: int = 1  # so many answers are 202 before the statistics are there

    @property
    def node_id(self) -> str:
        return _node("R", self.id)

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    def pulls(self) -> list[Issue]:
        return [issue for issue in self.issues.values() if issue.pull is not None]


class Truth:
    """Every verb is one change, under the lock that answers are made under."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.now = BEGIN
        self.seconds_a_change = 1
        self.follows: Callable[[], float] | None = None
        self.accounts: dict[str, Account] = {}
        self.repos: dict[int, Repo] = {}
        self.names: dict[str, Repo] = {}  # in small letters, former ones too
        self.by_node: dict[str, tuple[Repo, Issue]] = {}
        self._ids = count(1_000)

    def tick(self, seconds: float | None = None) -> datetime:
        with self.lock:
            if self.follows is not None:
                self.now = max(self.now, datetime.fromtimestamp(int(self.follows()), UTC))
            else:
                self.now += timedelta(seconds=self.seconds_a_change if seconds is None else seconds)
            return self.now

    # Accounts and repositories ---------------------------------------------------------------------------------------

    def account(self, login: str, kind: Literal["User", "Organization", "Bot"] = "User") -> Account:
        """The one of this name, made when there is none."""
        with self.lock:
            return self.accounts.setdefault(login.lower(), Account(next(self._ids), login, kind))

    def repo(self, full_name: str, *, private: bool = False, fork: bool = False, archived: bool = False) -> Repo:
        """A new one, with a commit; of an organisation unless its owner is known as something else."""
        with self.lock:
            owner, _, name = full_name.partition("/")
            at = self.tick()
            made = Repo(
                next(self._ids),
                self.account(owner, "Organization"),
                name,
                at,
                at,
                private=private,
                fork=fork,
                archived=archived,
            )
            self.repos[made.id] = self.names[full_name.lower()] = made
            self.push(made, self.account("ann"), "first")
            made.languages = {"Python": 12_000, "SQL": 900}
            return made

    def named(self, full_name: str) -> Repo | None:
        return self.names.get(full_name.lower())

    def rename(self, repo: Repo, name: str, owner: str | None = None) -> None:
        """Or transfer, with another owner. The former name leads here until somebody else takes it."""
        with self.lock:
            repo.name = name
            if owner is not None:
                repo.owner = self.account(owner, "Organization")
            self.names[repo.full_name.lower()] = repo
            repo.updated_at = self.tick()

    def delete(self, repo: Repo) -> None:
        with self.lock:
            del self.repos[repo.id]
            self.names = {name: each for name, each in self.names.items() if each is not repo}

    def push(
        self, repo: Repo, author: Account | None, message: str = "work", *, written_at: datetime | None = None
    ) -> Commit:
        with self.lock:
            at = self.tick()
            parent = repo.commits[-1] if repo.commits else None
            sha = hashlib.sha1(f"{repo.id} {parent and parent.sha} {next(self._ids)}".encode()).hexdigest()
            made = Commit(sha, author, message, at, parent, written_at)
            repo.commits.append(made)
            repo.ever[sha] = made
            repo.pushed_at = at
            return made

    def force_push(self, repo: Repo, dropped: int) -> list[Commit]:
        """The last ones are written anew: other shas, later commits, the moments of their authors kept."""
        with self.lock:
            old = repo.commits[len(repo.commits) - dropped :] if dropped else []
            del repo.commits[len(repo.commits) - len(old) :]
            return [self.push(repo, each.author, each.message, written_at=each.authored_at) for each in old]

    def label(self, repo: Repo, name: str) -> Label:
        with self.lock:
            repo.labels.append(Label(next(self._ids), name))
            return repo.labels[-1]

    def rename_label(self, repo: Repo, label: Label, name: str) -> None:
        """Touches no issue."""
        with self.lock:
            label.name = name
            self.tick()

    def delete_label(self, repo: Repo, label: Label) -> None:
        """Touches no issue either, although each that had it loses it."""
        with self.lock:
            repo.labels.remove(label)
            for issue in repo.issues.values():
                issue.labels = [each for each in issue.labels if each is not label]
            self.tick()

    def close_milestone(self, milestone: Milestone) -> None:
        with self.lock:
            milestone.state, milestone.closed_at = "closed", self.tick()
            milestone.updated_at = milestone.closed_at

    def milestone(self, repo: Repo, title: str) -> Milestone:
        with self.lock:
            at = self.tick()
            made = Milestone(next(self._ids), len(repo.milestones) + 1, title, self.account("ann"), at, at)
            repo.milestones.append(made)
            return made

    def release(self, repo: Repo, tag: str) -> Release:
        with self.lock:
            at = self.tick()
            repo.releases.append(Release(next(self._ids), tag, self.account("ann"), at, at))
            return repo.releases[-1]

    # Issues and pull requests ----------------------------------------------------------------------------------------

    def open_issue(self, repo: Repo, title: str = "It breaks", author: str | None = "ann", body: str = "") -> Issue:
        with self.lock:
            return self._add(repo, title, author, body, None)

    def open_pull(
        self, repo: Repo, title: str = "Mend it", author: str | None = "bob", *, draft: bool = False
    ) -> Issue:
        with self.lock:
            pull = Pull(f"branch-{repo.last_number + 1}", repo.default_branch, draft)
            made = self._add(repo, title, author, "", pull)
            sha = hashlib.sha1(f"head {made.id}".encode()).hexdigest()
            pull.commits.append(Commit(sha, made.author, title, made.created_at - timedelta(hours=3)))
            return made

    def edit(self, issue: Issue, *, title: str | None = None, body: str | None = None) -> None:
        with self.lock:
            issue.title = issue.title if title is None else title
            issue.body = issue.body if body is None else body
            issue.updated_at = self.tick()

    def comment(self, issue: Issue, by: str | None = "dan") -> Comment:
        with self.lock:
            who = self.account(by) if by is not None else None
            issue.updated_at = self.tick()
            issue.thread.append(Comment(next(self._ids), who, issue.updated_at))
            return issue.thread[-1]

    def delete_comment(self, issue: Issue, comment: Comment) -> None:
        """GitHub leaves `updated_at` as it is."""
        with self.lock:
            issue.thread.remove(comment)
            self.tick()

    def assign(self, issue: Issue, *logins: str) -> None:
        """To these and nobody else: an event for each who comes or goes."""
        with self.lock:
            before, issue.assignees = issue.assignees, [self.account(login) for login in logins]
            issue.updated_at = self.tick()
            for kind, who in (
                *(("UnassignedEvent", each) for each in before if each not in issue.assignees),
                *(("AssignedEvent", each) for each in issue.assignees if each not in before),
            ):
                self._event(issue, kind, assignee=who)

    def set_milestone(self, issue: Issue, milestone: Milestone | None) -> None:
        with self.lock:
            issue.milestone = milestone
            issue.updated_at = self.tick()

    def take_label(self, issue: Issue, label: Label) -> None:
        with self.lock:
            issue.labels = [each for each in issue.labels if each is not label]
            self._happened(issue, "UnlabeledEvent", label=label)

    def put_label(self, issue: Issue, label: Label) -> None:
        with self.lock:
            issue.labels.append(label)
            self._happened(issue, "LabeledEvent", label=label)

    def close(self, issue: Issue, reason: str = "completed") -> None:
        with self.lock:
            issue.state, issue.closed_at = "closed", self.tick()
            issue.state_reason = reason if issue.pull is None else None
            issue.updated_at = issue.closed_at

    def reopen(self, issue: Issue) -> None:
        with self.lock:
            issue.state, issue.closed_at = "open", None
            issue.state_reason = "reopened" if issue.pull is None else None
            self._happened(issue, "ReopenedEvent")

    def ready(self, issue: Issue) -> None:
        """A draft is one no more."""
        with self.lock:
            assert issue.pull is not None
            issue.pull.draft = False
            self._happened(issue, "ReadyForReviewEvent")

    def draft_again(self, issue: Issue) -> None:
        with self.lock:
            assert issue.pull is not None
            issue.pull.draft = True
            self._happened(issue, "ConvertToDraftEvent")

    def push_to_pull(self, issue: Issue, author: str | None = "bob") -> Commit:
        with self.lock:
            assert issue.pull is not None
            issue.updated_at = self.tick()
            number = next(self._ids)
            sha = hashlib.sha1(f"pushed {issue.id} {number}".encode()).hexdigest()
            who = self.account(author) if author is not None else None
            issue.pull.commits.append(Commit(sha, who, "more", issue.updated_at))
            issue.pull.additions += number % 50
            return issue.pull.commits[-1]

    def dismiss(self, issue: Issue, review: Review) -> None:
        with self.lock:
            review.state = "DISMISSED"
            issue.updated_at = self.tick()

    def delete_review(self, issue: Issue, review: Review) -> None:
        """Of one that was pending or only commented."""
        with self.lock:
            assert issue.pull is not None
            issue.pull.reviews.remove(review)
            issue.updated_at = self.tick()

    def merge(self, issue: Issue, by: str = "ann") -> None:
        with self.lock:
            assert issue.pull is not None
            issue.pull.merged_at = self.tick()
            issue.pull.merged_by = self.account(by)
            issue.pull.merge_commit = hashlib.sha1(f"merge {issue.id}".encode()).hexdigest()
            issue.state, issue.closed_at, issue.updated_at = "closed", issue.pull.merged_at, issue.pull.merged_at

    def review(self, issue: Issue, state: str = "APPROVED", by: str | None = "cat") -> Review:
        with self.lock:
            assert issue.pull is not None
            at = self.tick()
            author = self.account(by) if by is not None else None
            issue.pull.reviews.append(Review(next(self._ids), author, state, at, issue.pull.commits[-1].sha))
            issue.updated_at = at
            return issue.pull.reviews[-1]

    def _happened(self, issue: Issue, kind: str, actor: str = "ann", label: Label | None = None) -> None:
        issue.updated_at = self.tick()
        self._event(issue, kind, actor, label=label)

    def _event(
        self,
        issue: Issue,
        kind: str,
        actor: str = "ann",
        *,
        label: Label | None = None,
        assignee: Account | None = None,
    ) -> None:
        """At the moment of the issue's last change."""
        who = self.account(actor)
        issue.events.append(Event(next(self._ids), kind, who, issue.updated_at, label, assignee))

    def delete_issue(self, repo: Repo, number: int) -> None:
        with self.lock:
            del self.by_node[repo.issues.pop(number).node_id]
            repo.deleted.add(number)
            self.tick()

    def transfer_issue(self, repo: Repo, number: int, to: Repo) -> Issue:
        """It gets a new number and a new node id there."""
        with self.lock:
            issue = repo.issues.pop(number)
            del self.by_node[issue.node_id]
            moved = self._add(to, issue.title, issue.author and issue.author.login, issue.body or "", None)
            moved.created_at, moved.state, moved.closed_at = issue.created_at, issue.state, issue.closed_at
            repo.transferred[number] = (to, moved.number)
            return moved

    def _add(self, repo: Repo, title: str, author: str | None, body: str, pull: Pull | None) -> Issue:
        at = self.tick()
        repo.last_number += 1
        who = self.account(author) if author is not None else None
        issue = Issue(next(self._ids), repo.last_number, title, who, at, at, body or None, pull=pull)
        repo.issues[issue.number] = issue
        self.by_node[issue.node_id] = (repo, issue)
        return issue


def _node(kind: str, number: int) -> str:
    return f"{kind}_{base64.urlsafe_b64encode(b'kw' + number.to_bytes(6, 'big')).decode().rstrip('=')}"
