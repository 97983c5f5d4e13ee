"""The table `archive` of `jobctl.toml`: what `jobctl report` moves from the database into files, and when.

[archive]
directory = "/srv/jobctl/archive"      # else `archive` in the data directory
takes = ["events", "runs", "loads", "rejects", "incidents", "attempts", "payloads"]
keep_events = 10_000                   # of each job
keep_runs = 1_000                      # of each job and scope
keep_slots_days = 15                   # the runs of later slots stay, however many they are
loads_days = 90                        # and always the last of each branch
rejects_days = 90                      # after they were resolved
incidents_days = 90                    # what was told of an incident, after it was resolved
attempts_days = 14                     # the tries of tasks that are gone, after their end
restored_days = 30                     # restored rows stay so long
files_days = 730                       # files are deleted so long after they were written; without it, never

Each kind of rows has one owner. `payloads`, which `takes` does not name by default, is what GitHub answered, older than
payload_days of [sync]: where it is not named `jobctl sync` deletes it, and so it does with its own events that are
older than events_days where `events` is not named. Finished tasks are deleted by `jobctl retry-failed`, and so are
their tries with them where `attempts` is not named.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, cast

from pydantic import BeforeValidator, Field

from jobctl.did_you_mean import did_you_mean
from jobctl.settings_table import Table, read_table

Kind = Literal["events", "runs", "loads", "rejects", "incidents", "attempts", "payloads"]
KINDS: Final[tuple[Kind, ...]] = ("events", "runs", "loads", "rejects", "incidents", "attempts", "payloads")
BY_DEFAULT: Final[tuple[Kind, ...]] = KINDS[:-1]
MOST_KEPT: Final = 1_000_000_000  # rows of one job: more than anybody has, and within what a server counts
Days = Annotated[int, Field(ge=1, le=36_500)]


def _directory(value: object) -> object:
    if isinstance(value, str):
        path = Path(value)
        if not path.is_absolute():
            raise ValueError(f"is not a whole path: {value!r} (it begins with /)")
        return path
    return value


def _kinds(value: object) -> object:
    if isinstance(value, list | tuple):
        for kind in cast("list[object]", value):
            if kind not in KINDS:
                meant = did_you_mean(str(kind), KINDS)
                known = f"did you mean {meant}?" if meant else f"there are {', '.join(KINDS)}"
                raise ValueError(f"has {kind!r}, which is not a kind of rows: {known}")
        return tuple(dict.fromkeys(cast("list[object]", value)))
    return value


class ArchiveSettings(Table):
    directory: Annotated[Path | None, BeforeValidator(_directory)] = None
    takes: Annotated[tuple[Kind, ...], BeforeValidator(_kinds)] = BY_DEFAULT
    keep_events: Annotated[int, Field(ge=100, le=MOST_KEPT)] = 10_000
    keep_runs: Annotated[int, Field(ge=10, le=MOST_KEPT)] = 1_000
    keep_slots_days: Days = 15
    loads_days: Days = 90
    rejects_days: Days = 90
    incidents_days: Days = 90
    attempts_days: Days = 14
    restored_days: Days = 30
    files_days: Days | None = None


def read_archive(value: object) -> ArchiveSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    return read_table(value, ArchiveSettings, "[archive] and below it keep_events = 10_000")
