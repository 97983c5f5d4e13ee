"""Read a file of what issues cost a day: CSV with a header, or JSON lines. Every fault is found before anything is
written.

issue,impact_per_day,note
octo/cat#12,1500,lost orders
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from jobctl.errors import DataError, UsageError
from jobctl.projects.issue_name import IssueName, parse_issue
from jobctl.projects.rows_file import csv_lines, json_lines, refuse_faults

LARGEST: Final = 10 << 20
MOST_ROWS: Final = 100_000
LONGEST_NOTE: Final = 500
COLUMNS: Final = ("issue", "impact_per_day", "note")
NOTHING: Final = "none"


class Row(NamedTuple):
    """`per_day` None takes back what was said before."""

    line: int
    issue: IssueName
    per_day: Decimal | None
    note: str | None


def read_impacts(data: bytes, amount: Callable[[str], Decimal | None]) -> list[Row]:
    """`amount` reads one, or gives None. Raises DataError that tells the first faults with their lines. An issue that
    stands twice counts as it stands last."""
    if len(data) > LARGEST:
        raise DataError(f"the file is larger than {LARGEST >> 20} MiB", hint="is it a list of issues?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"the file is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from None
    is_json = text.lstrip()[:1] == "{"
    faults: list[str] = []
    rows: dict[tuple[str, int], Row] = {}
    for line, values in _json_lines(text, faults) if is_json else csv_lines(text, faults, _strange):
        try:
            row = _row(line, values, amount)
            rows[row.issue.project.lower(), row.issue.number] = row
        except UsageError as error:
            faults.append(f"line {line}: {error.message} ({error.hint})")
        if len(rows) > MOST_ROWS:
            raise DataError(f"the file has more than {MOST_ROWS:,} issues", hint="split it")
    refuse_faults(faults)
    if not rows:
        raise DataError("the file names no issue", hint=f"CSV with the columns {', '.join(COLUMNS)}, or JSON lines")
    return list(rows.values())


def _row(line: int, values: Mapping[str, str], amount: Callable[[str], Decimal | None]) -> Row:
    issue = parse_issue(values.get("issue", ""))
    said, note = values.get("impact_per_day", "").strip(), values.get("note", "").strip() or None
    if note is not None and (len(note) > LONGEST_NOTE or not note.isprintable()):
        raise UsageError("the note is too long or not printable", hint=f"{LONGEST_NOTE} characters at most")
    if said.lower() == NOTHING:
        return Row(line, issue, None, None)
    per_day = amount(said)
    if per_day is None or per_day > 10**11:
        raise UsageError(f"{said[:40]!r} is no amount", hint="such as 1500, or none to take it back")
    return Row(line, issue, per_day, note)


def _json_lines(text: str, faults: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    for number, values in json_lines(text, faults, _strange):
        yield number, {name: "" if value is None else str(value) for name, value in values.items()}


def _strange(values: Mapping[str, object]) -> str:
    unknown = [name for name in values if name not in COLUMNS]
    if unknown:
        return f"{unknown[0]!r} is none of {', '.join(COLUMNS)}"
    missing = [name for name in COLUMNS[:2] if name not in values]
    return f"there is no {missing[0]}" if values and missing else ""
