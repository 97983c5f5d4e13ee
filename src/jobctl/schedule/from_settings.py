"""A team's settings as changes of the plan: here the expressions are read that `jobctl.settings` keeps as text."""

from collections.abc import Mapping

from jobctl.schedule.expression import Expression, ExpressionError, parse
from jobctl.schedule.plan import Change, JobSchedule, planned
from jobctl.settings import Settings
from jobctl.settings_reading.fault import Fault, InvalidSettings
from jobctl.settings_reading.load import Loaded
from jobctl.settings_schedules import ScheduleSettings


def planned_from(settings: Settings) -> tuple[JobSchedule, ...]:
    """The plan with the team's changes. Raises InvalidSettings (exit 78) for an expression that cron cannot read."""
    return planned(changes_from(settings))


def changes_from(settings: Settings) -> Mapping[str, Change]:
    """Raises InvalidSettings as `planned_from` does."""
    faults = _faults(settings.schedules, "config file")
    if faults:
        raise InvalidSettings(faults)
    return {
        job: Change(
            at=None if given.at is None else parse(given.at),
            options=given.options,
            owner=given.owner,
            start_grace_s=given.start_grace_s,
            catch_up=given.catch_up,
            cap=given.cap,
        )
        for job, given in settings.schedules.items()
    }


def schedule_faults(loaded: Loaded) -> tuple[Fault, ...]:
    """What is wrong with the expressions, for `jobctl config check`."""
    return _faults(loaded.settings.schedules, loaded.origins["schedules"])


def _faults(schedules: Mapping[str, ScheduleSettings], origin: str) -> tuple[Fault, ...]:
    faults: list[Fault] = []
    for job, given in schedules.items():
        try:
            _ = parse(given.at) if given.at is not None else Expression("")
        except ExpressionError as error:
            name = f"schedules.{job}.at"
            message = f"{name} {given.at!r} is no schedule: {error}"
            faults.append(Fault(name, origin, message, 'write five fields as in a crontab, such as "15 3 * * *"'))
    return tuple(faults)
