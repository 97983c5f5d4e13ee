"""The free days of a country or a part of it, from the package `holidays`, and those that a team adds itself. Pure.

Measured against `workalendar`: `holidays` 0.109 knows more regions and needs two small packages
beside it instead of five, for 0.22 s of processor time and 19 MB at first use (0.13 s and 11 MB). So it is loaded only
where a calendar names a region.
"""

from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache
from typing import Final

EXAMPLE: Final = "such as DE, DE-BY or US-CA"


def free_days(region: str | None, added: Iterable[date] = ()) -> Callable[[int], frozenset[date]]:
    """By year. Raises ValueError for a region that is not known."""
    of_team = frozenset(added)
    if region is None:
        return lambda year: frozenset(day for day in of_team if day.year == year)
    official = _official(region)
    official(2000)  # an unknown region is a fault at once, not in the middle of a run
    return lambda year: official(year) | {day for day in of_team if day.year == year}


def _official(region: str) -> Callable[[int], frozenset[date]]:
    country, _, part = region.partition("-")

    @lru_cache
    def of_year(year: int) -> frozenset[date]:
        import holidays

        try:
            return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year))
        except NotImplementedError:
            raise ValueError(f"names the region {region!r}, whose holidays are not known: {EXAMPLE}") from None

    return of_year
