"""The lines of a file that a team keeps: CSV with a header, or JSON lines. Pure.

A fault is noted with its line and the line left out, so that all faults of a file are told at once.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from jobctl.errors import DataError

FAULTS_TOLD: Final = 5

Judge = Callable[[Mapping[str, object]], str]
"""Of the columns of a header, or the fields of a line: what is wrong with their names; '' when nothing is."""


def csv_lines(text: str, faults: list[str], strange: Judge) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Comma, semicolon or tab, whichever the header has most of."""
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, list[str]())]
        fault = strange(dict.fromkeys(header))
        if fault or len(set(header)) != len(header):
            faults.append(f"line 1: {fault or 'a column stands twice'}")
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


def json_lines(text: str, faults: list[str], strange: Judge) -> Iterator[tuple[int, Mapping[str, Any]]]:
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
        values = cast("dict[str, Any]", found)
        if fault := strange(values):
            faults.append(f"line {number}: {fault}")
            continue
        yield number, values


def refuse_faults(faults: list[str]) -> None:
    """Raises DataError that tells the first of them, if there are any."""
    if faults:
        more = f"; and {len(faults) - FAULTS_TOLD} more" if len(faults) > FAULTS_TOLD else ""
        raise DataError(
            f"{'; '.join(faults[:FAULTS_TOLD])}{more}", hint="nothing was imported: mend the file and try again"
        )
