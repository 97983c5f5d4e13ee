"""How incidents are shown to people, and the objects that `--json` prints of conditions and rules."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobctl.cli import render
from jobctl.durations import format_duration
from jobctl.errors import UsageError

if TYPE_CHECKING:
    import psycopg

    from jobctl.alerts.rules import Judged
    from jobctl.alerts.store import AlertRow, Event, Row
    from jobctl.settings_alerts import AlertSettings

EVER = datetime(1970, 1, 1, tzinfo=UTC)


def print_incidents(rows: "Sequence[Row]", now: datetime) -> None:
    if not rows:
        render.print_text("nothing is wrong that somebody must hear of")
        return
    cells = [
        (row.incident_id, _state(row, now), row.severity, row.title, row.occurrences, row.opened_at, _lasted(row, now))
        for row in rows
    ]
    render.print_table("", ("id", "state", "severity", "what", "seen", "since (UTC)", "for"), cells)


def print_incident(row: "Row", alerts: "Sequence[AlertRow]", events: "Sequence[Event]") -> None:
    now = datetime.now(UTC)
    facts = [(word, said) for word, said in row.facts]
    about = [
        ("incident", row.incident_id),
        ("state", _state(row, now)),
        ("severity", row.severity),
        ("what", row.title),
        ("cause", row.cause),
        *facts,
        ("since", row.opened_at),
        ("last seen", row.last_seen_at),
        ("lasted", _lasted(row, now)),
        ("seen", f"{row.occurrences:,} times"),
        *([("runbook", f"ops/runbooks/{row.page}.md")] if row.page else []),
    ]
    render.print_table("", ("", ""), about)
    render.print_table(
        "alerts",
        ("condition", "about", "seen", "first (UTC)", "last (UTC)", "over (UTC)"),
        [
            (each.condition, each.subject, each.occurrences, each.first_seen_at, each.last_seen_at, each.cleared_at)
            for each in alerts
        ],
    )
    print_events(events)


def print_events(events: "Sequence[Event]") -> None:
    if not events:
        render.print_text("nothing happened")
        return
    rows = [(each.at, each.incident_id, each.event, each.who, each.said or each.title) for each in events]
    render.print_table("", ("at (UTC)", "incident", "event", "who", ""), rows)


def conditions_as_json(alerts: "AlertSettings") -> list[dict[str, object]]:
    from jobctl.settings_conditions import CONDITIONS

    return [
        {
            "name": name,
            "kind": "condition",
            "enabled": found.enabled,
            "severity": found.severity,
            "summary": CONDITIONS[name].summary,
            "thresholds": dict(found.thresholds),
            "jobs": dict(found.jobs),
            "value": None,
            "is_firing": None,
            "error": None,
        }
        for name, found in alerts.conditions.items()
    ]


def rules_as_json(alerts: "AlertSettings", judged: "Sequence[Judged]") -> list[dict[str, object]]:
    from jobctl.cli.session import redactor

    items: list[dict[str, object]] = []
    for each in judged:
        rule = alerts.rules[each.name]
        limit = {"above": rule.above} if rule.above is not None else {"below": rule.below}
        items.append(
            {
                "name": each.name,
                "kind": "rule",
                "enabled": rule.enabled,
                "severity": rule.severity,
                "summary": rule.summary,
                "thresholds": limit,
                "jobs": {},
                "value": each.value,
                "is_firing": next((verdict.is_firing for verdict in each.verdicts), None),
                "error": redactor().text(each.error, limit=300) if each.error else None,
            }
        )
    return items


def print_rules(items: Sequence[dict[str, object]], channels: Sequence[str]) -> None:
    rows = [
        (
            each["name"],
            "on" if each["enabled"] else "off",
            each["severity"],
            _thresholds(each),
            each["error"] or ("" if each["value"] is None else f"{each['value']:g}"),
            each["summary"],
        )
        for each in items
    ]
    render.print_table("", ("name", "", "severity", "limits", "now", "fires when"), rows)
    render.print_text(f"told through: {', '.join(channels) or 'nothing but this history; see docs/alerts.md'}")


def print_test(results: Sequence[dict[str, object]]) -> None:
    render.print_table("", ("channel", "", ""), [(each["channel"], each["end"], each["said"]) for each in results])


def unknown(incident_id: int) -> UsageError:
    return UsageError(f"there is no incident {incident_id}", hint="jobctl alerts list --all shows them")


def not_open(conn: "psycopg.Connection", incident_id: int) -> UsageError:
    from jobctl.alerts import store

    if not store.rows(conn, since=EVER, incident_id=incident_id):
        return unknown(incident_id)
    return UsageError(f"incident {incident_id} is over", hint="jobctl alerts list shows those that are open")


def _state(row: "Row", now: datetime) -> str:
    if row.state == "resolved":
        return "resolved"
    if row.acked_at is not None:
        return f"acknowledged by {row.acked_by}"
    if row.snoozed_until is not None and row.snoozed_until > now:
        return f"snoozed until {row.snoozed_until:%m-%d %H:%M}"
    return "flapping" if row.is_flapping else "open"


def _lasted(row: "Row", now: datetime) -> str:
    return format_duration(round(((row.resolved_at or now) - row.opened_at).total_seconds()))


def _thresholds(item: dict[str, object]) -> str:
    found = item["thresholds"]
    assert isinstance(found, dict)
    shown: list[str] = []
    for name, value in found.items():  # pyright: ignore[reportUnknownVariableType]
        number = float(value)  # pyright: ignore[reportUnknownArgumentType]
        is_span = str(name).endswith("_s")  # pyright: ignore[reportUnknownArgumentType]
        shown.append(f"{name} {format_duration(number) if is_span else f'{number:g}'}")
    return ", ".join(shown)
