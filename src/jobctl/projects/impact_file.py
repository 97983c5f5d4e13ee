"""Read a file of what issues cost a day: CSV with a header, or JSON lines. Every fault is found before anything is
written.

issue,impact_per_day,note
octo/cat#12,1500,lost orders
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple, cast

from jobctl.errors import DataError, UsageError
from jobctl.projects.issue_name import IssueName, parse_issue

LARGEST: Final = 10 << 20
MOST_ROWS: Final = 100_000
FAULTS_TOLD: Final = 5
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
    faults: list[str] = []
    rows: dict[tuple[str, int], Row] = {}
    for line, values in (_json_lines if text.lstrip()[:1] == "{" else _csv_lines)(text, faults):
        try:
            row = _row(line, values, amount)
            rows[row.issue.project.lower(), row.issue.number] = row
        except UsageError as error:
            faults.append(f"line {line}: {error.message} ({error.hint})")
        if len(rows) > MOST_ROWS:
            raise DataError(f"the file has more than {MOST_ROWS:,} issues", hint="split it")
    if faults:
        more = f"; and {len(faults) - FAULTS_TOLD} more" if len(faults) > FAULTS_TOLD else ""
        raise DataError(
            f"{'; '.join(faults[:FAULTS_TOLD])}{more}", hint="nothing was imported: mend the file and try again"
        )
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


def _csv_lines(text: str, faults: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, list[str]())]
        if header and _is_strange(dict.fromkeys(header), faults, 1):
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                faults.append(f"line {reader.line_num}: {len(cells)} cells under {len(header)} columns")
                continue
            yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        faults.append(f"line {reader.line_num}: {error}")


def _json_lines(text: str, faults: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found: object = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            faults.append(f"line {number}: no JSON object")
            continue
        values = cast("dict[str, object]", found)
        if not _is_strange(values, faults, number):
            yield number, {name: "" if value is None else str(value) for name, value in values.items()}


def _is_strange(values: Mapping[str, object], faults: list[str], line: int) -> bool:
    unknown = [name for name in values if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in values]
    if unknown:
        faults.append(f"line {line}: {unknown[0]!r} is none of {', '.join(COLUMNS)}")
    elif missing:
        faults.append(f"line {line}: there is no {missing[0]}")
    return bool(unknown or missing)
