"""What a command or an endpoint said, as it is kept with the try: without secrets and of a bounded size."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

from jobctl.redact import Redactor
from jobctl.settings import Settings

MOST_BYTES: Final = 32_768  # as JSON; a larger result would be refused, after the work was done


def redactor_of(settings: Settings) -> Redactor:
    return _redactor(settings.secrets())


@lru_cache(maxsize=4)
def _redactor(secrets: tuple[str, ...]) -> Redactor:
    return Redactor(secrets)


def object_in(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object that `text` is, if it is one."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], found) if isinstance(found, dict) else None


def clean_object(value: Mapping[str, Any], redactor: Redactor) -> dict[str, Any] | None:
    """None: it is too large to be kept whole, and half an object is none."""
    cleaned = cast(dict[str, Any], redactor.deep(value))
    return cleaned if len(json.dumps(cleaned)) <= MOST_BYTES else None


def end_of(text: str) -> str:
    """As much of its end as may be kept."""
    while len(json.dumps(text)) > MOST_BYTES:
        text = text[-(len(text) // 2) :]
    return text


def beginning_of(text: str) -> str:
    while len(json.dumps(text)) > MOST_BYTES:
        text = text[: len(text) // 2]
    return text
