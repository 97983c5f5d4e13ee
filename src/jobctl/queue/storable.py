"""What handlers say, made fit for the database: text that PostgreSQL can keep, results that are JSON of a bounded size.

A message or result comes from anywhere. One NUL character in it must not keep the endings of a hundred other tasks from
being written.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

LARGEST_RESULT_BYTES: Final = 64 * 1024
LONGEST_MESSAGE: Final = 2_000
LONGEST_NAME: Final = 200
_SUSPICIOUS: Final = ("\\u0000", "\\ud")  # as JSON writes them; most results have neither


class UnfitResult(ValueError):
    """What the handler returned cannot be kept with its try."""


def text(value: str, limit: int = LONGEST_MESSAGE) -> str:
    """Without NUL, and without halves of surrogate pairs; of a long one the beginning."""
    if len(value) > limit:
        value = value[: max(limit - 1, 0)] + "…"
    if value.isascii():
        return value.replace("\0", "␀")
    return value.replace("\0", "␀").encode("utf-8", "replace").decode()


def message_of(error: BaseException) -> str:
    """What an error says; its class, if it says nothing or cannot."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - a foreign class's own code
        said = ""
    return said or type(error).__name__


def result_of(value: object) -> Mapping[str, Any] | None:
    """The result as it can be kept. Raises UnfitResult, which says what is wrong with it."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise UnfitResult(f"the handler returned {_kind(value)}; it has to be None or a mapping that JSON can carry")
    result = cast(Mapping[str, Any], value)
    try:
        written = json.dumps(result if isinstance(result, dict) else dict(result), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnfitResult(f"the handler's result is not JSON: {message_of(error)}") from error
    if len(written) > LARGEST_RESULT_BYTES:
        raise UnfitResult(
            f"the handler's result has {len(written):,} bytes as JSON, more than {LARGEST_RESULT_BYTES:,}; "
            "keep it where it belongs and return where that is"
        )
    if any(part in written for part in _SUSPICIOUS):
        return cast(Mapping[str, Any], _fit(json.loads(written)))
    return result


def _fit(value: Any) -> Any:
    if isinstance(value, str):
        return text(value, LARGEST_RESULT_BYTES)
    if isinstance(value, list):
        return [_fit(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {text(key, LARGEST_RESULT_BYTES): _fit(item) for key, item in cast(dict[str, Any], value).items()}
    return value


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"
