"""What lint is told of a crontab, and what it tells. Pure values."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from jobctl.schedule.crontab_text import Crontab

# An error is a line (or file) that does not do what it says; a warning one that will hurt some night; a note tells what
# is so by the rules of cron and may surprise, such as a time that moves on the day the clocks change.
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`line` is 0 where the whole file is meant. `code` is stable; the three texts are for a person."""

    code: str
    severity: Severity
    line: int
    what: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Of the file that cron reads: cron ignores one of the wrong owner or mode, or with a second hard link."""

    owner: str
    mode: int
    links: int = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where the text stands or will stand. `cron_d_name` is the file's name in cron.d; facts are None if unknown."""

    is_system: bool
    cron_d_name: str | None = None
    facts: FileFacts | None = None


@dataclass(frozen=True, slots=True)
class CommandShape:
    """A command of jobctl: whether each option takes a value, and how many words besides (None: any number)."""

    options: Mapping[str, bool]
    arguments: int | None = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What the linter may rely on. Commands are named by their words (`ingest-branch`, `db migrate`).

    `users` and `exists` are None where the crontab is not of this machine: then nobody is said to be missing.
    """

    zone: str
    now: datetime
    commands: Mapping[str, CommandShape] = field(default_factory=dict[str, CommandShape])
    planned_jobs: Collection[str] = ()
    max_runtime_s: Mapping[str, int] = field(default_factory=dict[str, int])
    users: Collection[str] | None = None
    exists: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One crontab under examination."""

    text: str
    crontab: Crontab
    place: Place
    known: Known
