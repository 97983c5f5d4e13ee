"""A rule of the team's own: one value, compared. Pure."""

from datetime import datetime

from jobctl.alerts import causes
from jobctl.alerts.verdict import Verdict, between
from jobctl.settings_alerts import RULE_PAGE, RuleSettings


def of_rule(name: str, rule: RuleSettings, value: float | None, now: datetime) -> list[Verdict]:
    """`value`: what the query gave; None is not known."""
    if value is None or not rule.enabled:
        return []
    is_below = rule.below is not None
    limit = rule.below if rule.below is not None else rule.above
    assert limit is not None
    firing = between(value, limit, is_below=is_below, margin=0.0)
    said = rule.summary or f"rule {name}"
    title = f"{said}: {value:g} is {'below' if is_below else 'above'} {limit:g}"
    subject = f"rule {name}"
    return [
        Verdict(f"rule-{name}", subject, firing, now, causes.own("rule", name), title, (("rule", name),),
                rule.severity, page=RULE_PAGE)
    ]  # fmt: skip
