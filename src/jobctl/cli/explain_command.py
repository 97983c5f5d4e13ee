"""`jobctl explain RUN`: from the line of the crontab to all that came of the run.

`jobctl schedule explain` is about a line at a minute, whether or not anything ran; this is about a run.
"""

from typing import TYPE_CHECKING

import typer

from jobctl.cli.options import JsonOption
from jobctl.cli.runs_options import RunArgument

if TYPE_CHECKING:
    from jobctl.cli.tree import Node
    from jobctl.monitor.runs.lineage import IncidentOf, Lineage, Message
    from jobctl.monitor.runs.showing import Scope, Shown

EXAMPLE = """Examples:\n
\b
  jobctl explain last                    what came of the run that began last
  jobctl explain ingest-branch/airports  of the last run of a job and scope
  jobctl explain 5f0c1d2e --json
  (why a line of the crontab did or did not fire at a minute: jobctl schedule explain)
"""
WIDEST = 140
ROWS_OF = ("inserted", "updated", "unchanged", "rejected", "skipped")
WAY = {"new": "waits to be sent", "sending": "is being sent", "unknown": "may have arrived", "failed": "was refused"}


def explain(run: RunArgument, json: JsonOption = False) -> None:
    """Tell what started a run and what came of it: slot, rows, rejects, tasks, incidents, messages.

    Rows are those that the run committed; tasks, rejects and incidents are told as they stand now."""
    from jobctl import clock
    from jobctl.cli import runs_show
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, reading
    from jobctl.monitor.runs import finding, lineage, showing

    settings = current_settings()
    with reading(settings, "explain") as conn:
        shown = showing.show(conn, finding.find(conn, run), events=0)
        found = lineage.trace(conn, shown, now=clock.utc_now())
    if json:
        print_json({**runs_show.summary_json(shown), **_as_json(shown, found)})
    else:
        _print(shown, found, settings.timezone)


def _as_json(shown: "Shown", found: "Lineage") -> dict[str, object]:
    from jobctl.cli.runs_show import scope_json

    told = ("scope", "state", "exit_code", "duration_ms", "counts", "error")
    scopes = [{key: value for key, value in scope_json(scope).items() if key in told} for scope in shown.scopes]
    return {
        "slots": [slot._asdict() for slot in shown.slots],
        "lines": [line._asdict() for line in shown.lines],
        "cancellation": shown.cancellation._asdict() if shown.cancellation else None,
        "scopes": scopes,
        "rejects": [each._asdict() for each in found.rejects],
        "rejects_are_cut": found.rejects_are_cut,
        "tasks": [each._asdict() for each in found.tasks],
        "tasks_are_cut": found.tasks_are_cut,
        "tries": [each._asdict() for each in found.tries],
        "incidents": [each._asdict() for each in found.incidents],
        "messages": [each._asdict() for each in found.messages],
        "mails": [each._asdict() for each in found.mails],
    }


def _print(shown: "Shown", found: "Lineage", zone: str) -> None:
    from shutil import get_terminal_size

    from jobctl.cli.render import print_text, printable
    from jobctl.cli.tree import tree_lines

    width = min(get_terminal_size().columns, WIDEST)
    for line in tree_lines(tree_of(shown, found, zone), width=width):
        print_text(printable(line))


def tree_of(shown: "Shown", found: "Lineage", zone: str) -> "Node":
    from jobctl.cli.runs_views import moment
    from jobctl.cli.tree import Node

    first = shown.first
    began = moment(first.started_at, zone)
    exit_code = f", exit code {shown.exit_code}" if shown.exit_code is not None else ""
    where = f"began {began} on {first.host} with jobctl {first.version}"
    return Node(
        f"{first.job}, run {shown.run_id}: {shown.state}{exit_code}; {where}",
        tuple(
            node
            for node in (
                _cause(shown, zone),
                _cancelled(shown, zone),
                *(_scope(scope) for scope in shown.scopes),
                _rejects(found),
                _tasks(found),
                _tries(found),
                _incidents(found, zone),
                _messages(found, zone),
                _mails(found),
            )
            if node is not None
        ),
    )


def _cause(shown: "Shown", zone: str) -> "Node":
    from jobctl.cli.runs_views import moment
    from jobctl.cli.tree import Node

    first = shown.first
    if first.slot_at is None:
        return Node(f"started by hand, or by another program, as {first.os_user}: {first.command}")
    slots = [
        Node(
            f"slot {slot.slot_local}: "
            + (f"{slot.verdict}, and its work done by this run" if slot.is_covered else slot.verdict)
            + (f" ({slot.reason})" if slot.reason else "")
        )
        for slot in shown.slots
    ] or [Node(f"slot {moment(first.slot_at, zone)}: answered for by another run")]
    if not shown.lines:
        return Node(f"started for a slot; the line that it came of is not known: {first.command}", slots)
    line = shown.lines[0]
    where = f"{line.source} of {line.os_user} on {line.host}"
    return Node(f"came of the line: {line.expression}  {line.command}  ({where}, {line.zone})", slots)


def _cancelled(shown: "Shown", zone: str) -> "Node | None":
    from jobctl.cli.runs_views import moment
    from jobctl.cli.tree import Node

    asked = shown.cancellation
    if asked is None:
        return None
    heard = f"heard {moment(asked.heard_at, zone)}" if asked.heard_at else "not heard by the run"
    return Node(f"{asked}, {moment(asked.requested_at, zone)}; {heard}")


def _scope(scope: "Scope") -> "Node":
    from jobctl.cli.render import one_line
    from jobctl.cli.runs_views import counts_in_words, took
    from jobctl.cli.tree import Node

    row, counts = scope.row, dict(scope.counts)
    below: list[Node] = []
    if counts.get("read"):
        parts = " + ".join(f"{counts.pop(name, 0):,} {name}" for name in ROWS_OF)
        below.append(Node(f"rows: {counts.pop('read'):,} read = {parts}"))
    rest = counts_in_words(counts)
    if rest:
        below.append(Node(f"counts: {rest}"))
    if not scope.counts and row.status not in ("skipped", "running"):
        below.append(Node("it committed nothing that it counts"))
    if row.error_class is not None:
        hint = f" ({row.error_hint})" if row.error_hint else ""
        below.append(Node(f"{row.error_class}: {one_line(row.error_message or '')}{hint}"))
    below += [Node(f"note: {one_line(note)}") for note in row.notes]
    why = f"; {scope.pulse.why}" if scope.pulse is not None and scope.pulse.why else ""
    so_far = " so far" if row.finished_at is None else ""
    return Node(f"{row.scope or row.job}: {scope.state}, {took(scope.duration_ms)}{so_far}{why}", below)


def _rejects(found: "Lineage") -> "Node | None":
    from jobctl.cli.tree import Node

    if not found.rejects:
        return None
    number, least = sum(each.rejects for each in found.rejects), "at least " if found.rejects_are_cut else ""
    below = [
        Node(
            f"{each.branch}: {each.rejects:,} {each.reason}"
            + (f" ({each.field})" if each.field else "")
            + (f", {each.resolved:,} of them resolved since" if each.resolved else "")
        )
        for each in found.rejects
    ]
    return Node(f"{least}{number:,} rejects", below)


def _tasks(found: "Lineage") -> "Node | None":
    from jobctl.cli.tree import Node

    if not found.tasks:
        return None
    number, least = sum(each.tasks for each in found.tasks), "at least " if found.tasks_are_cut else ""
    by_type: dict[str, list[str]] = {}
    for each in found.tasks:
        by_type.setdefault(each.type, []).append(f"{each.tasks:,} {each.state}")
    below = [Node(f"{type_}: {', '.join(told)}") for type_, told in by_type.items()]
    return Node(f"{least}{number:,} tasks in the queue that it put there last, as they are now", below)


def _tries(found: "Lineage") -> "Node | None":
    from jobctl.cli.tree import Node

    if not found.tries:
        return None
    by_type: dict[str, list[str]] = {}
    for each in found.tries:
        by_type.setdefault(each.type, []).append(f"{each.tries:,} {each.outcome}")
    below = [Node(f"{type_}: {', '.join(told)}") for type_, told in by_type.items()]
    return Node(f"{sum(each.tries for each in found.tries):,} tries of tasks", below)


def _incidents(found: "Lineage", zone: str) -> "Node | None":
    from jobctl.cli.tree import Node

    if not found.incidents:
        return None
    numbers = list(dict.fromkeys(each.incident_id for each in found.incidents))
    below = [
        _incident([each for each in found.incidents if each.incident_id == number], found, zone) for number in numbers
    ]
    return Node("incidents", below)


def _incident(alerts: "list[IncidentOf]", found: "Lineage", zone: str) -> "Node":
    from jobctl.cli.tree import Node

    first = alerts[0]
    below = [
        Node(f"{each.condition} about {each.subject}" + ("" if each.is_named else ", which lasted when the run ended"))
        for each in alerts
    ]
    below += [_message(each, zone) for each in found.messages if each.incident_id == first.incident_id]
    return Node(f"{first.incident_id} ({first.state}, {first.severity}): {first.title}", below)


def _messages(found: "Lineage", zone: str) -> "Node | None":
    """Those that are of no incident above."""
    from jobctl.cli.tree import Node

    told = {each.incident_id for each in found.incidents}
    left = [each for each in found.messages if each.incident_id is None or each.incident_id not in told]
    return Node("messages", [_message(each, zone) for each in left]) if left else None


def _mails(found: "Lineage") -> "Node | None":
    from jobctl.cli.tree import Node

    if not found.mails:
        return None
    below = [Node(f"week {each.week}: {each.mails:,} {WAY.get(each.state, each.state)}") for each in found.mails]
    return Node("weekly mails, one a recipient", below)


def _message(message: "Message", zone: str) -> "Node":
    from jobctl.cli.render import one_line
    from jobctl.cli.runs_views import moment
    from jobctl.cli.tree import Node

    state = WAY.get(message.state, message.state)
    why = f": {one_line(message.error_message)}" if message.error_message else ""
    title = f" “{one_line(message.title)}”" if message.title else ""
    return Node(f"{message.channel}{title}: {state}, {moment(message.updated_at, zone)}{why}")


def add_to(app: typer.Typer) -> None:
    app.command("explain", epilog=EXAMPLE)(explain)
