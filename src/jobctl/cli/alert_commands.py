"""jobctl alerts: what is wrong now, who knows of it, and what people were told."""

from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import LARGEST_NUMBER, JsonOption

if TYPE_CHECKING:
    from jobctl.alerts.rules import Judged
    from jobctl.settings import Settings

app = typer.Typer(
    help="Incidents: what somebody must hear of, once for each cause, and heard to its end.",
    epilog='Example: jobctl alerts list; jobctl alerts show 12; jobctl alerts ack 12 --reason "disk is being changed"',
    no_args_is_help=True,
    rich_markup_mode=None,
)

IdArgument = Annotated[
    int,
    typer.Argument(
        metavar="ID", min=1, max=LARGEST_NUMBER, help="The incident's number.", autocompletion=completion.incidents
    ),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for whoever looks later.", show_default=False)]
DELIVER_S = 15.0  # for a channel; no job waits for it
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")]


@app.command("list", epilog="Example: jobctl alerts list --all --since 7d --json")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Resolved ones, too.")] = False,
    job: Annotated[
        str | None,
        typer.Option("--job", help="Only those that this job has a part in.", autocompletion=completion.jobs),
    ] = None,
    since: Annotated[str, typer.Option("--since", help="Opened since: 30d, 12h, or a time (ISO 8601).")] = "365d",
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the open incidents, the newest first."""
    from jobctl import clock
    from jobctl.alerts import store
    from jobctl.cli import alert_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import past

    settings = current_settings()
    now = clock.utc_now()
    moment = past("--since", since, now, settings.timezone)
    with open_database(settings).connect(purpose="alerts") as conn:
        rows = store.rows(conn, since=moment, state=None if every else "open", job=job, limit=limit)
    if json:
        print_json({"items": [row._asdict() for row in rows], "next": None})
    else:
        alert_views.print_incidents(rows, now)


@app.command(epilog="Example: jobctl alerts show 12 --json")
def show(incident_id: IdArgument, json: JsonOption = False) -> None:
    """Show an incident: what belongs to it, and what became of it."""
    from jobctl.alerts import store
    from jobctl.cli import alert_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database

    with open_database(current_settings()).connect(purpose="alerts") as conn:
        row = next(iter(store.rows(conn, since=alert_views.EVER, incident_id=incident_id)), None)
        if row is None:
            raise alert_views.unknown(incident_id)
        alerts = store.alerts_of(conn, incident_id)
        events = store.events(conn, since=alert_views.EVER, incident_id=incident_id, limit=1_000)
    if json:
        parts = {"alerts": [each._asdict() for each in alerts], "events": [each._asdict() for each in events]}
        print_json({**row._asdict(), **parts})
    else:
        alert_views.print_incident(row, alerts, events)


@app.command(epilog="Example: jobctl alerts ack 12")
def ack(incident_id: IdArgument, reason: ReasonOption = "", json: JsonOption = False) -> None:
    """Say that somebody is at it: it is not told again until it is over."""
    from jobctl.accounts import current_user
    from jobctl.alerts import store
    from jobctl.cli import alert_views
    from jobctl.cli.render import print_json, print_text
    from jobctl.cli.session import current_settings, open_database

    database, who = open_database(current_settings()), current_user()
    with database.connect(purpose="alerts") as conn, database.transaction(conn):
        if not store.acknowledge(conn, incident_id, who=who, said=reason.strip()):
            raise alert_views.not_open(conn, incident_id)
    if json:
        print_json({"incident_id": incident_id, "acknowledged_by": who})
    else:
        print_text(f"incident {incident_id} is {who}'s; its end will be told")


@app.command(epilog='Example: jobctl alerts snooze 12 --until 2h --reason "after the release"')
def snooze(
    incident_id: IdArgument,
    until: Annotated[str, typer.Option("--until", help="When it may be told again: 2h, 3d, or a time (ISO 8601).")],
    reason: ReasonOption = "",
    json: JsonOption = False,
) -> None:
    """Be silent about it until a time; if it lasts then, it is told again."""
    from jobctl import clock
    from jobctl.accounts import current_user
    from jobctl.alerts import store
    from jobctl.cli import alert_views
    from jobctl.cli.render import print_json, print_text
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import future

    settings = current_settings()
    moment = future("--until", until, clock.utc_now(), settings.timezone)
    database, who = open_database(settings), current_user()
    with database.connect(purpose="alerts") as conn, database.transaction(conn):
        if not store.snooze(conn, incident_id, moment, who=who, said=reason.strip()):
            raise alert_views.not_open(conn, incident_id)
    if json:
        print_json({"incident_id": incident_id, "snoozed_until": moment, "snoozed_by": who})
    else:
        print_text(f"incident {incident_id} is silent until {moment:%Y-%m-%d %H:%M} UTC")


@app.command(epilog="Example: jobctl alerts history --since 1d")
def history(
    incident_id: Annotated[
        int | None,
        typer.Argument(
            metavar="[ID]",
            min=1,
            max=LARGEST_NUMBER,
            help="Only of this incident.",
            autocompletion=completion.incidents,
        ),
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How far back: 7d, 12h, or a time (ISO 8601).")] = "7d",
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List what was opened, told, acknowledged, snoozed and resolved, the newest first."""
    from jobctl import clock
    from jobctl.alerts import store
    from jobctl.cli import alert_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import past

    settings = current_settings()
    moment = past("--since", since, clock.utc_now(), settings.timezone)
    with open_database(settings).connect(purpose="alerts") as conn:
        events = store.events(conn, since=moment, incident_id=incident_id, limit=limit)
    if json:
        print_json({"items": [each._asdict() for each in events], "next": None})
    else:
        alert_views.print_events(events)


@app.command(epilog="Example: jobctl alerts rules --json")
def rules(json: JsonOption = False) -> None:
    """Show each condition with its thresholds, and each rule of the team's with the value that it gives now."""
    from jobctl.alerts import rules as rule_queries
    from jobctl.cli import alert_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database

    settings = current_settings()
    alerts = settings.alert_settings
    judged: list[Judged] = []
    if alerts.rules:
        with open_database(settings).connect(purpose="alerts") as conn:
            judged = [rule_queries.judge(conn, name, rule) for name, rule in alerts.rules.items()]
    items = alert_views.conditions_as_json(alerts) + alert_views.rules_as_json(alerts, judged)
    if json:
        print_json({"items": items, "channels": list(settings.alert_channels()), "next": None})
    else:
        alert_views.print_rules(items, settings.alert_channels())


@app.command("test", epilog="Example: jobctl alerts test --channel email")
def send_test(
    channel: Annotated[
        list[str] | None,
        typer.Option(
            "--channel", help="Only this one; may be repeated.", show_default=False, autocompletion=completion.channels
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Send a test message through each channel now; exit 1 if one did not take it."""
    from jobctl.cli import alert_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings
    from jobctl.errors import ConfigurationError, UsageError

    settings = current_settings()
    known = settings.alert_channels()
    if not known:
        raise ConfigurationError(
            "no channel is set up", hint="SLACK_WEBHOOK_URL and ENABLE_SLACK_ALERTS, or emails in [alerts]"
        )
    for name in channel or ():
        if name not in known:
            raise UsageError(f"{name!r} is no channel here", hint=f"one of {', '.join(known)}")
    results = _tested(settings, tuple(channel or known))
    if json:
        print_json({"items": results, "next": None})
    else:
        alert_views.print_test(results)
    if not all(each["arrived"] for each in results):
        raise typer.Exit(1)


@app.command(epilog="* * * * *  jobctl alerts deliver\n\nExample: jobctl alerts deliver --json")
def deliver(json: JsonOption = False) -> None:
    """Tell what is due and send what waits: what every run does at its end, for a line of cron's each minute."""
    from jobctl.alerts import delivery, judging, local, outbox
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database, redactor
    from jobctl.errors import DatabaseUnavailable

    settings, clean = current_settings(), redactor()
    try:
        database = open_database(settings)
    except DatabaseUnavailable:
        if local.exists(settings):
            local.runs_ended(settings, clean, ())
        raise
    with database.connect(purpose="alerts") as conn:
        if local.exists(settings):
            local.bring_in(conn, settings)
        with database.transaction(conn):
            judging.time_passed(conn, settings, clean)
    delivery.deliver(settings, clean, lambda: database, budget_s=DELIVER_S)
    if json:
        with database.connect(purpose="alerts") as conn:
            print_json({"left": outbox.count_left(conn, settings.alert_channels())})


def _tested(settings: "Settings", channels: tuple[str, ...]) -> list[dict[str, object]]:
    import socket
    import uuid

    from jobctl.alerts import channels as sending
    from jobctl.alerts.webhook import Deadline, End
    from jobctl.alerts.words import Told, neutral
    from jobctl.cli.session import redactor

    host = neutral(socket.gethostname(), 100)
    told = Told("opened", 0, "warning", "jobctl: a test", [("host", host), ("look", "nothing is wrong")])
    results: list[dict[str, object]] = []
    for name in channels:
        answer = sending.send(name, settings, told, f"{name}/test/{uuid.uuid4()}", Deadline(10.0))
        reason = redactor().text(answer.reason, limit=300)
        results.append({"channel": name, "arrived": answer.end is End.ARRIVED, "end": answer.end.value, "said": reason})
    return results
