"""The table `alerts` of `jobctl.toml`: of what people are told, when again, and where.

    [alerts]
    realert_every_s = "6h"
    emails = ["ops@example.org"]           # by SMTP_URL, from EMAIL_FROM
    runbook_url = "https://wiki.example.org/jobctl/runbooks/"

    [alerts.conditions.consecutive-failures]
    after = 5

    [alerts.conditions.long-run.jobs]
    ingest-branch = "50m"                  # 0: not for this job

    [alerts.rules.late-orders]
    query = "SELECT count(*) FROM core.items WHERE last_changed_at < now() - interval '1 day'"
    above = 100

What a condition's table leaves out is as `settings_conditions` has it. Durations are keys that end with `_s`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, cast

from pydantic import BeforeValidator, Field

from jobctl.settings_conditions import ConditionSettings, Severity, conditions_of, default_conditions
from jobctl.settings_table import Table, read_table
from jobctl.settings_values import Seconds, seconds

RULE_PAGE: Final = "rule-fired"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _name(value: object) -> object:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        raise ValueError("is not a name: small letters, digits and hyphens, 63 at most")
    return value


def _link(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"https?://[^\s<>|\"'@`]+", value):
        raise ValueError("is no address of the web without user, spaces and quotes")
    return value


def _recipients(value: object) -> object:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("is not a list of e-mail addresses")  # noqa: TRY004 - pydantic collects only ValueError
    addresses = tuple(str(each) for each in cast("list[object]", given))
    for address in addresses:
        if not re.fullmatch(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+", address):
            raise ValueError(f"has {address!r}, which is not an e-mail address")
    return addresses


Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, BeforeValidator(_name)]


class RuleSettings(Table):
    """A query of one row; its first column is compared. `NULL` and no row are not known, and change nothing."""

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    above: Number | None = None
    below: Number | None = None
    summary: Annotated[str, Field(max_length=200)] = ""
    severity: Severity = "warning"
    timeout_s: Annotated[float, BeforeValidator(seconds), Field(gt=0, le=20, allow_inf_nan=False)] = 5.0
    enabled: bool = True


class AlertSettings(Table):
    """`flaps` openings of one cause within `flap_window_s` are flapping: told once more, then silent until it was calm
    for `calm_s`. `keep_undelivered_s` is how long a channel may be away before its messages are given up."""

    enabled: bool = True
    realert_every_s: Seconds = 6 * 3_600.0
    flaps: Annotated[int, Field(ge=1, le=100)] = 3
    flap_window_s: Seconds = 6 * 3_600.0  # an hourly job that fails every other time comes three times in it
    calm_s: Seconds = 3 * 3_600.0  # and is never calm for so long
    forget_after_s: Seconds = 14 * 86_400.0
    keep_undelivered_s: Annotated[Seconds, Field(ge=86_400)] = 259_200.0
    keep_history_s: Seconds = 365 * 86_400.0
    runbook_url: Annotated[str, BeforeValidator(_link)] | None = None
    stderr: bool = False
    emails: Annotated[tuple[str, ...], BeforeValidator(_recipients)] = ()
    conditions: Annotated[Mapping[str, ConditionSettings], BeforeValidator(conditions_of)] = Field(
        default_factory=default_conditions
    )
    rules: Mapping[Name, RuleSettings] = {}

    def shown(self) -> dict[str, object]:
        """What was set, for people: of the conditions those that are not as they are by default."""
        given = self.model_dump(mode="json", exclude_unset=True, exclude={"conditions"})
        defaults = default_conditions()
        changed = {name: each for name, each in self.conditions.items() if each != defaults[name]}
        if changed:
            given["conditions"] = {name: each.model_dump(mode="json") for name, each in changed.items()}
        return given


def read_alerts(value: object) -> AlertSettings:
    """Raises ValueError with every fault of the table, in an operator's words."""
    if isinstance(value, AlertSettings):
        return value
    example = '[alerts] and below it realert_every_s = "6h"'
    settings = read_table(value, AlertSettings, example, {"rules": RuleSettings})
    for name, rule in settings.rules.items():
        if (rule.above is None) == (rule.below is None):
            raise ValueError(f"has rules.{name}, which needs one of above and below")
    return settings
