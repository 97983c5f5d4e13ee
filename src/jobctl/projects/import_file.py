"""Read a file of projects: CSV with a header, or JSON lines. Every fault is found before anything is asked or written.

project,criticality,team,owner,schedule,active
octo/cat,high,platform,ann@example.org,,yes
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from jobctl.errors import DataError, UsageError
from jobctl.projects.project import Care, check_care, parse_name
from jobctl.projects.rows_file import csv_lines, json_lines, refuse_faults

LARGEST: Final = 10 << 20
MOST_ROWS: Final = 20_000
NAME_COLUMNS: Final = ("project", "full_name", "repository", "repo", "name")
CARE_COLUMNS: Final = ("criticality", "team", "owner", "schedule", "active")
NOTHING: Final = "none"
_TRUE: Final = frozenset({"true", "yes", "1", "on"})
_FALSE: Final = frozenset({"false", "no", "0", "off"})


class Row(NamedTuple):
    line: int
    name: str
    care: Care


def read_rows(data: bytes, check_schedule: Callable[[str], None]) -> list[Row]:
    """`check_schedule` raises UsageError. Raises DataError that tells the first faults with their lines. A project that
    stands twice counts as it stands last."""
    if len(data) > LARGEST:
        raise DataError(f"the file is larger than {LARGEST >> 20} MiB", hint="is it a list of projects?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"the file is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from None
    nothing = DataError("the file names no project", hint="CSV with a column project, or one JSON object a line")
    if not text.strip():
        raise nothing
    is_json = text.lstrip()[:1] == "{"
    faults: list[str] = []
    rows: dict[str, Row] = {}
    for line, values in _json_lines(text, faults) if is_json else csv_lines(text, faults, _strange):
        try:
            row = Row(line, parse_name(_name(values)), _care(values, check_schedule))
            rows[row.name.lower()] = row
        except UsageError as error:
            faults.append(f"line {line}: {error.message} ({error.hint})")
        if len(rows) > MOST_ROWS:
            raise DataError(f"the file has more than {MOST_ROWS:,} projects", hint="split it")
    refuse_faults(faults)
    if not rows:
        raise nothing
    return list(rows.values())


def _json_lines(text: str, faults: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    for number, values in json_lines(text, faults, _strange):
        wrong = [name for name, value in values.items() if not isinstance(value, str | bool | None)]
        if wrong:
            faults.append(f"line {number}: {wrong[0]} is no text")
            continue
        yield number, {name: _text(value) for name, value in values.items()}


def _strange(values: Mapping[str, object]) -> str:
    unknown = [name for name in values if name not in (*NAME_COLUMNS, *CARE_COLUMNS)]
    if unknown:
        return f"{unknown[0]!r} is none of project, {', '.join(CARE_COLUMNS)}"
    if sum(name in NAME_COLUMNS for name in values) != 1:
        return "it has no column project" if not set(values) & set(NAME_COLUMNS) else "the project has two columns"
    return ""


def _text(value: object) -> str:
    return "" if value is None else "yes" if value is True else "no" if value is False else str(value)


def _name(values: Mapping[str, str]) -> str:
    return next(values[name] for name in NAME_COLUMNS if name in values)


def _care(values: Mapping[str, str], check_schedule: Callable[[str], None]) -> Care:
    """An empty cell says nothing, `none` takes back what stands."""
    given = {name: values[name].strip() for name in CARE_COLUMNS if values.get(name, "").strip()}
    active: bool | None = None
    if (word := given.pop("active", None)) is not None:
        if word.lower() not in _TRUE | _FALSE:
            raise UsageError(f"active is {word[:20]!r}", hint="yes or no")
        active = word.lower() in _TRUE
    if "criticality" in given:
        given["criticality"] = given["criticality"].lower()
    given |= {name: "" for name in ("team", "owner", "schedule") if given.get(name, "").lower() == NOTHING}
    care = check_care(Care(**given, active=active))
    if care.schedule:
        check_schedule(care.schedule)
    return care
