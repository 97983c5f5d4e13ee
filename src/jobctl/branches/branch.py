"""A branch: a source of records, how its fields map to ours, how fresh it is to be, and whether it is activated."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import NamedTuple

from jobctl.durations import parse_duration
from jobctl.errors import UsageError

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
TITLE_CHARACTERS = 200
RECORD_ID = "record_id"


@dataclass(frozen=True, slots=True)
class Definition:
    """What an operator says about a branch. `field_map` is our field -> where the source has it."""

    slug: str
    title: str
    field_map: Mapping[str, str]
    default_country: str | None = None
    expected_freshness: timedelta | None = None
    max_withdraw_share: float = 0.2

    def __post_init__(self) -> None:
        check_slug(self.slug)
        if not self.title.strip() or len(self.title) > TITLE_CHARACTERS or not self.title.isprintable():
            raise UsageError(
                f"a title is 1 to {TITLE_CHARACTERS} printable characters", hint="--title 'Airports of the world'"
            )
        if not self.field_map.get(RECORD_ID):
            raise UsageError("the field map names no source field for record_id", hint="--map record_id=id")
        for ours, source in self.field_map.items():
            if not ours or not source or "\0" in ours + source:
                raise UsageError(f"the field map has an empty side: {ours!r}={source!r}", hint="--map name=title")
        if self.default_country is not None and not re.fullmatch("[A-Z]{2}", self.default_country):
            raise UsageError(
                f"{self.default_country!r} is no country code", hint="two capital letters of ISO 3166-1: --country GB"
            )
        if self.expected_freshness is not None and self.expected_freshness <= timedelta(0):
            raise UsageError("an expected freshness is longer than nothing", hint="--freshness 1d")
        check_share(self.max_withdraw_share)


class Branch(NamedTuple):
    """A row of branch.branches."""

    branch_id: int
    slug: str
    title: str
    field_map: Mapping[str, str]
    schema_version: int
    default_country: str | None
    expected_freshness: timedelta | None
    max_withdraw_share: float
    active: bool
    loaded_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def definition(self) -> Definition:
        return Definition(
            self.slug,
            self.title,
            self.field_map,
            self.default_country,
            self.expected_freshness,
            self.max_withdraw_share,
        )

    def is_late(self, now: datetime) -> bool:
        """Loaded longer ago than expected, or expected and never loaded."""
        if self.expected_freshness is None:
            return False
        return self.loaded_at is None or now - self.loaded_at > self.expected_freshness


def check_slug(slug: str) -> None:
    if not SLUG.fullmatch(slug):
        raise UsageError(
            f"{slug!r} is no slug",
            hint="1 to 63 of a-z, 0-9 and -, beginning with a letter or digit, such as airports-eu",
        )


def check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise UsageError(f"{share} is no share", hint="a number from 0 to 1, such as 0.2")


def parse_field_map(pairs: Iterable[str]) -> dict[str, str]:
    """The map that `--map ours=source` words make; `ours=` maps to nothing."""
    field_map: dict[str, str] = {}
    for pair in pairs:
        ours, equals, source = pair.partition("=")
        if not equals or not ours.strip():
            raise UsageError(f"{pair!r} maps nothing", hint="our field = source field, such as --map name=title")
        if ours.strip() in field_map:
            raise UsageError(f"{ours.strip()!r} is mapped twice", hint="each of our fields has one source")
        field_map[ours.strip()] = source.strip()
    return field_map


def parse_freshness(text: str) -> timedelta:
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise UsageError(f"{text!r} {error}") from error


def unknown_branch(slug: str, known: Iterable[str]) -> UsageError:
    names = list(known)
    near = get_close_matches(slug, names, n=3, cutoff=0.5) or [name for name in names if slug and slug in name][:3]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"there is no branch {slug!r}", hint=f"{meant}all of them: jobctl branch list")
