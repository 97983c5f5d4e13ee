"""What the settings say, as the definitions by which `metrics` judges."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from jobctl.errors import ConfigurationError
from jobctl.service_levels.bugs import Rules
from jobctl.service_levels.goals import DEFAULT_GOALS, OFFICE_HOURS, Definitions, Goals, Kind, Office
from jobctl.settings import Settings
from jobctl.settings_metrics import GoalSettings


def definitions_of(settings: Settings) -> Definitions:
    """What is not set is as it is by itself; of a table with severities, each severity by itself."""
    usual = Rules()
    given = settings.metric_settings.rules_given()
    for name in ("severity_labels", "default_impact"):
        given[name] = {**getattr(usual, name), **given[name]}
    levels = settings.service_level_settings
    said: Mapping[str, GoalSettings | None] = {
        "critical": levels.critical,
        "high": levels.high,
        "medium": levels.medium,
        "low": levels.low,
    }
    return Definitions(
        rules=usual._replace(**given),
        goals={name: _goals(usual_goals, said[name]) for name, usual_goals in DEFAULT_GOALS.items()},
        office=Office(ZoneInfo(settings.timezone), levels.hours or OFFICE_HOURS, levels.region, levels.holidays),
        at_risk_share=levels.at_risk_share,
    )


def kinds_of(definitions: Definitions) -> list[Kind]:
    """Raises ConfigurationError for a region whose holidays are not known."""
    try:
        return definitions.kinds()
    except ValueError as error:
        raise ConfigurationError(
            f"[service_levels] {error}", hint="mend region in jobctl.toml, or list the days as holidays"
        ) from None


def _goals(usual: Goals, said: GoalSettings | None) -> Goals:
    if said is None:
        return usual
    given = said.model_fields_set
    return Goals(
        said.first_response if "first_response" in given else usual.first_response_s,
        said.resolution if "resolution" in given else usual.resolution_s,
        said.around_the_clock if "around_the_clock" in given else usual.around_the_clock,
    )
