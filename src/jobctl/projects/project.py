"""A project: a repository on GitHub that is followed, what GitHub says of it, and what the team says of it. Pure."""

import re
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import Final, NamedTuple

from jobctl.errors import UsageError

CRITICALITIES: Final = ("low", "medium", "high", "critical")
LONGEST_WORD: Final = 100
DEMO_NODE: Final = "DEMO_"  # what the node ids of sample projects begin with, and none of GitHub's
# Owners of an enterprise's own accounts have an underscore in their names.
_NAME: Final = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?)/([A-Za-z0-9._-]{1,100})")
_ADDRESS: Final = re.compile(r"(?:https?://|ssh://git@)[^/]*/|git@[^/:]*:", re.IGNORECASE)
_OWNER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9])?")


class Facts(NamedTuple):
    """What GitHub says."""

    node_id: str
    github_id: int
    full_name: str
    description: str | None
    default_branch: str | None
    language: str | None
    is_private: bool
    is_fork: bool
    is_archived: bool
    stars: int
    created_on_github_at: datetime
    pushed_at: datetime | None


class Care(NamedTuple):
    """What the team says. None: nothing is said here, and what stands stays; '' takes it back."""

    criticality: str | None = None
    team: str | None = None
    owner: str | None = None
    schedule: str | None = None
    active: bool | None = None


NOTHING_SAID: Final = Care()


class Project(NamedTuple):
    """A row of dev.projects."""

    project_id: int
    node_id: str
    github_id: int
    full_name: str
    description: str | None
    default_branch: str | None
    language: str | None
    is_private: bool
    is_fork: bool
    is_archived: bool
    stars: int
    created_on_github_at: datetime
    pushed_at: datetime | None
    criticality: str
    team: str | None
    owner: str | None
    schedule: str | None
    active: bool
    added_at: datetime
    updated_at: datetime
    synced_at: datetime | None
    sync_outcome: str | None
    sync_error_class: str | None
    sync_error_message: str | None

    @property
    def is_demo(self) -> bool:
        """It is a sample (`jobctl demo load`), which GitHub knows nothing of."""
        return self.node_id.startswith(DEMO_NODE)


def parse_name(text: str) -> str:
    """`octo/cat`, also from an address that was copied. Raises UsageError."""
    name = text.strip()
    address = _ADDRESS.match(name)
    if address is not None:
        path = re.split(r"[?#]", name[address.end() :])[0]
        name = "/".join(path.strip("/").split("/")[:2])
    name = name.removesuffix(".git")
    match = _NAME.fullmatch(name)
    if match is None or match[2] in (".", ".."):
        raise UsageError(f"{text[:LONGEST_WORD]!r} is no name of a repository", hint="write it as OWNER/REPO")
    return name


def check_owner(text: str) -> str:
    """An organisation's or user's name. Raises UsageError."""
    if not _OWNER.fullmatch(text):
        raise UsageError(f"{text[:LONGEST_WORD]!r} is no name of an organisation or user", hint="such as octo-org")
    return text


def check_care(care: Care) -> Care:
    """Raises UsageError for what cannot be meant. The schedule is judged by who knows cron."""
    if care.criticality is not None and care.criticality not in CRITICALITIES:
        raise UsageError(
            f"{care.criticality[:LONGEST_WORD]!r} is no criticality", hint=f"one of {', '.join(CRITICALITIES)}"
        )
    for what, word in (("a team", care.team), ("an owner", care.owner), ("a schedule", care.schedule)):
        if word and (len(word) > LONGEST_WORD or not word.isprintable() or not word.strip()):
            raise UsageError(f"{what} is 1 to {LONGEST_WORD} printable characters", hint="or none to take it back")
    return care


def unknown_project(name: str, known: Iterable[str]) -> UsageError:
    by_small = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), list(by_small), n=3, cutoff=0.6)
    near = near or [each for each in by_small if each.partition("/")[2] == name.lower().rpartition("/")[2]][:3]
    meant = f"did you mean {' or '.join(by_small[each] for each in near)}? " if near else ""
    return UsageError(f"there is no project {name!r}", hint=f"{meant}all of them: jobctl project list")
