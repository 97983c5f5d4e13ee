"""The table `schedules` of `jobctl.toml`: what a team changes in the plan of when jobs run.

    [schedules.sync]
    at = "15 3 * * *"
    owner = "data team"

Here stands what can be judged without knowing cron: names, kinds of values, limits. What `at` means is read where the
plan is (`jobctl.schedule.from_settings`); `jobctl config check` asks both.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from jobctl.did_you_mean import did_you_mean
from jobctl.durations import parse_duration

CatchUp = Literal["none", "latest", "all"]
MOST_CAUGHT_UP: Final = 1_000


class ScheduleSettings(NamedTuple):
    """One job's changes, as they were written; None leaves the plan's value."""

    at: str | None = None
    options: tuple[str, ...] | None = None
    owner: str | None = None
    start_grace_s: int | None = None
    catch_up: CatchUp | None = None
    cap: int | None = None


def read_schedules(value: object, jobs: Collection[str]) -> dict[str, ScheduleSettings]:
    """Raises ValueError with every fault of the table."""
    if not isinstance(value, Mapping):
        raise ValueError('is a table of jobctl.toml: [schedules.sync] and below it at = "15 3 * * *"')  # noqa: TRY004
    table = cast(Mapping[object, object], value)
    faults: list[str] = []
    read: dict[str, ScheduleSettings] = {}
    for job, changes in table.items():
        if isinstance(changes, ScheduleSettings):
            read[str(job)] = changes
        elif job not in jobs:
            faults.append(f"names {job!r}, which is not a job{_meant(str(job), jobs)}")
        elif not isinstance(changes, Mapping):
            faults.append(f"has {changes!r} for {job}, which is no table: write [schedules.{job}]")
        else:
            given: dict[str, Any] = {}  # each of its field's kind, once `_value` has judged it
            for key, raw in cast(Mapping[object, object], changes).items():
                try:
                    given[str(key)] = _value(str(key), raw)
                except ValueError as error:
                    faults.append(f"for {job} {error}")
            if not faults:
                read[str(job)] = ScheduleSettings(**given)
    if faults:
        raise ValueError("; ".join(faults))
    return read


def _value(key: str, raw: object) -> object:  # noqa: C901 - one kind of value after the other
    if key in ("at", "owner"):
        if not isinstance(raw, str) or not raw.strip() or not raw.isprintable():
            raise ValueError(f"has {key} = {raw!r}, which is no text of one line")
        return raw.strip()
    if key == "options":
        words = cast(list[object], raw) if isinstance(raw, list | tuple) else [None]
        if not all(isinstance(word, str) and word and word.isprintable() for word in words):
            raise ValueError(f'has options = {raw!r}, which is no list of words such as ["--max-runtime", "30m"]')
        return tuple(words)
    if key == "start_grace_s":
        if isinstance(raw, str):
            try:
                return parse_duration(raw)
            except ValueError as error:
                raise ValueError(f"has start_grace_s = {raw!r}, which {error}") from None
        if not isinstance(raw, int) or isinstance(raw, bool) or raw < 0:
            raise ValueError(f"has start_grace_s = {raw!r}, which is no number of seconds")
        return raw
    if key == "catch_up":
        if raw not in get_args(CatchUp):
            raise ValueError(f"has catch_up = {raw!r}, which is none of {', '.join(get_args(CatchUp))}")
        return raw
    if key == "cap":
        if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw <= MOST_CAUGHT_UP:
            raise ValueError(f"has cap = {raw!r}, which is no number from 0 to {MOST_CAUGHT_UP}")
        return raw
    raise ValueError(f"has {key!r}, which is not known{_meant(key, ScheduleSettings._fields)}")


def _meant(name: str, known: Collection[str]) -> str:
    meant = did_you_mean(name.lower(), known, cutoff=0.6)
    return f": did you mean {meant}?" if meant else f": one of {', '.join(known)}"
