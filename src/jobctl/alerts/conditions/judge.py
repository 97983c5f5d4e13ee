"""How every condition judges: facts and thresholds in, verdicts out. Pure. A condition that is off says nothing.

One module a subject stands beside: runs, their durations, slots, rates, the queue, branches, disks, figures, rules.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from jobctl.alerts import causes
from jobctl.alerts.verdict import NOBODY, About, Facts, Verdict
from jobctl.durations import format_duration
from jobctl.settings_conditions import CONDITIONS, ConditionSettings

Settings = Mapping[str, ConditionSettings]


class Judge:
    """Makes the verdicts of one subject: it knows which conditions are on, and what all verdicts have in common."""

    def __init__(self, settings: Settings, subject: str, at: datetime, about: About = NOBODY) -> None:
        self._settings = settings
        self._subject = subject
        self._at = at
        self._about = about
        self.verdicts: list[Verdict] = []

    def of(self, condition: str) -> ConditionSettings | None:
        """Its thresholds; None where it is off."""
        found = self._settings.get(condition)
        return found if found is not None and found.enabled else None

    def limit_of(self, condition: str, job: str, scope: str = "") -> float:
        """Its main threshold for this job and scope; 0 where it is off, or not for this one."""
        found = self.of(condition)
        return found.main_for(job, scope) if found is not None else 0

    def say(
        self,
        condition: str,
        is_firing: bool | None,
        *,
        title: str = "",
        facts: Facts = (),
        cause: str = "",
        subject: str | None = None,
        clear_after: int = 1,
    ) -> None:
        found = self.of(condition)
        if found is None:
            return
        subject = self._subject if subject is None else subject
        self.verdicts.append(
            Verdict(
                condition=condition,
                subject=subject,
                is_firing=is_firing,
                at=self._at,
                cause=cause or causes.own(condition, subject),
                title=title,
                facts=facts,
                severity=found.severity,
                about=self._about,
                page=CONDITIONS[condition].page,
                realert_every_s=found.realert_every_s,
                clear_after=clear_after,
            )
        )


def subject_of(job: str, scope: str) -> str:
    return f"{job} {scope}" if scope else job


def gone(
    firing: Iterable[tuple[str, str]], verdicts: Iterable[Verdict], looked_at: Collection[str], now: datetime
) -> list[Verdict]:
    """The alerts that fire and of which a complete look says nothing any more: what they are about is gone, so they are
    over."""
    said = {(verdict.condition, verdict.subject) for verdict in verdicts}
    left = [pair for pair in firing if pair[0] in looked_at and pair not in said]
    return [Verdict(condition, subject, False, now) for condition, subject in left]


def span(seconds: float) -> str:
    return format_duration(round(seconds, 1))
