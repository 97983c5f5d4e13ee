"""What stands beside each file of rows: what they are, so that they can be checked and put back without the database
they came from. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

FORMAT: Final = 1


class Manifest(NamedTuple):
    """`schema` is the number of the last migration there was. Keys and times are as the lines have them."""

    table: str
    file: str
    rows: int
    bytes: int
    sha256: str
    columns: tuple[tuple[str, str], ...]
    first: Mapping[str, Any]
    last: Mapping[str, Any]
    first_at: str | None
    last_at: str | None
    schema: int
    archive_id: int
    run_id: str
    host: str
    written_at: str

    def text(self) -> str:
        columns = [{"name": name, "type": type_} for name, type_ in self.columns]
        content = {"format": FORMAT, **self._asdict(), "columns": columns}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read(text: str) -> Manifest:
    """Raises ValueError that says what is wrong with it."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(content, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - what is wrong is a value
    given = cast("dict[str, Any]", content)
    if "format" not in given:
        raise ValueError("it has no format")
    if given["format"] != FORMAT:
        raise ValueError(f"it is of format {given['format']}, and this version reads format {FORMAT}")
    try:
        return Manifest(
            table=_text(given["table"]),
            file=_file(given["file"]),
            rows=int(given["rows"]),
            bytes=int(given["bytes"]),
            sha256=_text(given["sha256"]),
            columns=tuple((_text(each["name"]), _text(each["type"])) for each in given["columns"]),
            first=dict(given["first"]),
            last=dict(given["last"]),
            first_at=given["first_at"],
            last_at=given["last_at"],
            schema=int(given["schema"]),
            archive_id=int(given["archive_id"]),
            run_id=_text(given["run_id"]),
            host=_text(given["host"]),
            written_at=_text(given["written_at"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"it lacks something or has something wrong in it: {error}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _file(value: object) -> str:
    """A name in the directory of the manifest, and no way out of it."""
    name = _text(value)
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"{name!r} is no name of a file")
    return name
