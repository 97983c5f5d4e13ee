"""Which goals a bug has by its severity, and whose clock they run by. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, tzinfo
from typing import Any, Final, NamedTuple

from jobctl.service_levels import health
from jobctl.service_levels.bugs import SEVERITIES, Rules
from jobctl.service_levels.cycles import Goal
from jobctl.service_levels.public_holidays import free_days
from jobctl.service_levels.working_time import Calendar, DaySpans, WorkingTime

HOUR_S: Final = 3_600.0
OFFICE_HOURS: Final[Sequence[DaySpans]] = (*(((540, 1_020),),) * 5, (), ())


class Goals(NamedTuple):
    """Of one severity; None: no goal. The clock is the office's unless it runs around."""

    first_response_s: float | None
    resolution_s: float | None
    around_the_clock: bool = False


DEFAULT_GOALS: Final[Mapping[str, Goals]] = {
    "critical": Goals(1 * HOUR_S, 24 * HOUR_S, around_the_clock=True),
    "high": Goals(4 * HOUR_S, 40 * HOUR_S),
    "medium": Goals(16 * HOUR_S, 120 * HOUR_S),
    "low": Goals(40 * HOUR_S, None),
}


class Office(NamedTuple):
    """When the team works."""

    zone: tzinfo
    hours: Sequence[DaySpans] = OFFICE_HOURS
    region: str | None = None
    holidays: Sequence[date] = ()


class Kind(NamedTuple):
    """What a severity's bugs are judged by."""

    working: WorkingTime
    first_response: Goal | None
    resolution: Goal | None


class Definitions(NamedTuple):
    """All by which a run judges. What is kept names their version."""

    rules: Rules
    goals: Mapping[str, Goals]
    office: Office
    at_risk_share: float = 0.8

    def kinds(self) -> list[Kind]:
        """By severity, in the order of SEVERITIES. Raises ValueError for a region that is not known."""
        free = free_days(self.office.region, self.office.holidays)
        office = WorkingTime(Calendar(self.office.zone, self.office.hours, free))
        clock = WorkingTime(Calendar.around_the_clock())
        return [
            Kind(
                clock if goals.around_the_clock else office,
                self._goal(goals.first_response_s),
                self._goal(goals.resolution_s),
            )
            for goals in (self.goals[severity] for severity in SEVERITIES)
        ]

    def _goal(self, seconds: float | None) -> Goal | None:
        return None if seconds is None else Goal(seconds, self.at_risk_share)

    def as_json(self) -> dict[str, Any]:
        office = {**self.office._asdict(), "holidays": [day.isoformat() for day in self.office.holidays]}
        return {
            "bugs": self.rules.as_json(),
            "goals": {severity: goals._asdict() for severity, goals in self.goals.items()},
            "office": {**office, "zone": str(self.office.zone)},
            "at_risk_share": self.at_risk_share,
            "health": health.VERSION,
        }

    @property
    def version(self) -> str:
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:12]
