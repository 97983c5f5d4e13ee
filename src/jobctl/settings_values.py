"""Single values as an operator writes them, each judged by itself.

Each function takes what was found and gives what the model takes, or raises ValueError with words that go on after the
setting's name. pydantic collects only ValueError, and judges the kind of what passes here.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from jobctl.did_you_mean import did_you_mean
from jobctl.durations import LONGEST_S, parse_duration


def seconds(value: object) -> object:
    """`90`, `55m`: seconds."""
    return parse_duration(value) if isinstance(value, str) else value


def fraction_of_seconds(value: object) -> object:
    """The same, or `0.5`."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]*\.?[0-9]+", value):
        return parse_duration(value)
    return value


def slug(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        raise ValueError("is not a branch's slug: small letters, digits and hyphens, 63 at most")
    return value


def zone(value: object) -> object:
    if value == "UTC" or not isinstance(value, str):
        return value
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(value)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        by_folded = {name.casefold(): name for name in zoneinfo.available_timezones()}
        meant = did_you_mean(value.casefold(), by_folded)
        raise ValueError(
            f"is not a time zone this machine knows: {value!r}"
            + (f"; did you mean {by_folded[meant]}?" if meant else "")
        ) from None
    return value


def level(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def app_id(value: object) -> object:
    text = str(value) if isinstance(value, int) else value
    if isinstance(text, str) and not re.fullmatch(r"[0-9]{1,20}|Iv[A-Za-z0-9.]{1,40}", text):
        raise ValueError("is neither the number of a GitHub App nor its client id")
    return text


def github_tokens(value: object) -> object:
    if isinstance(value, str) and not all(re.fullmatch(r"[!-~]+", token) for token in words(value)):
        raise ValueError("has a token with a character that no token has (its value is not shown)")
    return value


def words(text: str) -> tuple[str, ...]:
    """What commas and white space part, each once."""
    return tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", text) if part))


def pairs(text: str) -> dict[str, str]:
    """`ingest-branch=URL, run/backup=URL` by the name before the sign."""
    parts = (part.partition("=") for part in re.split(r"[,\s]+", text) if part)
    return {name: value for name, _, value in parts}


WholeSeconds = Annotated[int, BeforeValidator(seconds), Field(le=LONGEST_S)]
Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
Milliseconds = Annotated[int, Field(ge=1, le=2**31 - 1)]  # as PostgreSQL counts its time limits
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
