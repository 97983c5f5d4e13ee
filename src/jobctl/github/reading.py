"""What an answer says, read as if a stranger had sent it. Pure.

pydantic-core reads: in one pass, no deeper than 200 levels, no number of thousands of digits, no NaN, no lone
surrogate, nothing after the end. What is taken out of the values is asked for by type, and a whole number must fit into
PostgreSQL's bigint. U+0000, which PostgreSQL keeps nowhere, becomes U+FFFD. Whatever is otherwise raises BadAnswer.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from jobctl.github.failures import BadAnswer

BIGINT: Final = 1 << 63
QUOTED: Final = 200

Object = Mapping[str, Any]


def read_json(body: bytes, where: str) -> Any:
    from pydantic_core import from_json

    if not body.strip():
        raise BadAnswer(f"{where}: the answer is empty")
    try:
        return from_json(body, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        kind = "HTML" if body.lstrip()[:1] == b"<" else "no JSON"
        raise BadAnswer(f"{where}: the answer is {kind} ({one_line(str(error), 80)})") from None


def said(body: object) -> str:
    """What an answer's `message` says, for people."""
    message = cast("Object", body).get("message") if isinstance(body, Mapping) else None
    return one_line(message, QUOTED) if isinstance(message, str) else ""


def one_line(text: str, longest: int) -> str:
    plain = " ".join("".join(character if character.isprintable() else " " for character in text[:2_000]).split())
    return plain if len(plain) <= longest else plain[: longest - 3] + "..."


# Values --------------------------------------------------------------------------------------------------------------


def object_of(value: object, where: str) -> Object:
    if not isinstance(value, dict):
        raise BadAnswer(f"{where}: {_called(value)} where an object is due")
    return cast("Object", value)


def list_of(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise BadAnswer(f"{where}: {_called(value)} where a list is due")
    return cast("Sequence[Any]", value)


def objects_of(value: object, where: str) -> list[Object]:
    return [object_of(each, where) for each in list_of(value, where)]


def inner(of: Object, name: str, where: str) -> Object:
    return object_of(of.get(name), f"{where}.{name}")


def inner_or_none(of: Object, name: str, where: str) -> Object | None:
    return None if of.get(name) is None else inner(of, name, where)


def text(of: Object, name: str, where: str) -> str:
    value = of.get(name)
    if not isinstance(value, str) or not value:
        raise BadAnswer(f"{where}.{name}: {_called(value)} where text is due")
    return value.replace("\0", "�")


def text_or_none(of: Object, name: str, where: str) -> str | None:
    """None also for an empty text."""
    return text(of, name, where) if of.get(name) not in (None, "") else None


def whole(of: Object, name: str, where: str) -> int:
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not -BIGINT <= value < BIGINT:
        raise BadAnswer(f"{where}.{name}: {_called(value)} where a whole number is due")
    return value


def whole_or_none(of: Object, name: str, where: str) -> int | None:
    return None if of.get(name) is None else whole(of, name, where)


def flag(of: Object, name: str, where: str) -> bool:
    value = of.get(name)
    if not isinstance(value, bool):
        raise BadAnswer(f"{where}.{name}: {_called(value)} where true or false is due")
    return value


def flag_or_none(of: Object, name: str, where: str) -> bool | None:
    return None if of.get(name) is None else flag(of, name, where)


_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def moment(of: Object, name: str, where: str) -> datetime:
    value = of.get(name)
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # no such date: told like any other wrong value
    raise BadAnswer(f"{where}.{name}: {_called(value)} where a time is due")


def moment_or_none(of: Object, name: str, where: str) -> datetime | None:
    return None if of.get(name) is None else moment(of, name, where)


def _called(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "another text" if value else "an empty text"
    names: dict[type, str] = {bool: "true or false", int: "another number", float: "a fraction", list: "a list"}
    return names.get(type(value), "an object")
