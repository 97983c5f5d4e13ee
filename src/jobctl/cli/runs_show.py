"""What `jobctl runs show` tells of a run: the object for programs, and a page for people."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobctl.cli import render
from jobctl.cli.runs_views import counts_in_words, moment, name_of, number_in_words, took
from jobctl.cli.sparkline import chart

if TYPE_CHECKING:
    from jobctl.monitor.runs.log_lines import Excerpt
    from jobctl.monitor.runs.showing import Scope, Shown
    from jobctl.settings import Settings

SHOWN_OUTPUT = 20
LONGEST_VALUE = 120
LOG_CONTEXT = frozenset({"time", "level", "event", "message", "job", "run_id", "correlation_id", "scope"})


def as_json(shown: "Shown", excerpt: "Excerpt", settings: "Settings") -> dict[str, object]:
    from jobctl.monitor.runs.steps import steps_of

    return {
        **summary_json(shown),
        "scopes": [scope_json(scope) for scope in shown.scopes],
        "steps": [step._asdict() for step in steps_of(shown)],
        "events": [event._asdict() for event in shown.events],
        "has_earlier_events": shown.has_earlier_events,
        "slots": [slot._asdict() for slot in shown.slots],
        "lines": [line._asdict() for line in shown.lines],
        "cancellation": shown.cancellation._asdict() if shown.cancellation else None,
        "log": {
            "file": settings.log_file,
            "lines": excerpt.lines,
            "has_earlier": excerpt.has_earlier,
            "why_not": excerpt.why_not,
        },
    }


def summary_json(shown: "Shown") -> dict[str, object]:
    first = shown.first
    return {
        "run_id": shown.run_id,
        "job": first.job,
        "correlation_id": first.correlation_id,
        "state": shown.state,
        "exit_code": shown.exit_code,
        "host": first.host,
        "os_user": first.os_user,
        "version": first.version,
        "command": first.command,
        "slot_at": first.slot_at,
        "started_at": first.started_at,
        "finished_at": shown.finished_at,
    }


def scope_json(scope: "Scope") -> dict[str, object]:
    row = scope.row
    error = None
    if row.error_class is not None:
        error = {"class": row.error_class, "message": row.error_message or "", "hint": row.error_hint or ""}
    return {
        "scope": row.scope,
        "state": scope.state,
        "status": row.status,
        "degraded": row.degraded,
        "exit_code": row.exit_code,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "heartbeat_at": row.heartbeat_at,
        "duration_ms": scope.duration_ms,
        "recent_ms": scope.recent_ms,
        "recent_records": scope.recent_records,
        "counts": scope.counts,
        "metrics": row.metrics,
        "notes": row.notes,
        "peak_memory_bytes": row.peak_memory_bytes,
        "dropped_log_lines": row.dropped_log_lines,
        "error": error,
        "evidence": row.evidence,
        "output": row.output,
        "why": scope.pulse.why if scope.pulse else "",
    }


def print_run(shown: "Shown", excerpt: "Excerpt", settings: "Settings") -> None:
    for line in page(shown, excerpt, settings):
        render.print_text(render.printable(line.expandtabs(4)))


def page(shown: "Shown", excerpt: "Excerpt", settings: "Settings") -> Iterator[str]:
    """Plain lines: a message may be long, and a person may want to copy it."""
    first, zone = shown.first, settings.timezone
    exit_code = "" if shown.exit_code is None else f", exit code {shown.exit_code}"
    yield f"{first.job}: {shown.state}{exit_code}"
    yield f"  run          {shown.run_id}"
    if first.correlation_id != str(shown.run_id):
        yield f"  correlation  {first.correlation_id}"
    yield f"  on           {first.host} as {first.os_user}, jobctl {first.version}"
    yield f"  command      {first.command}"
    yield f"  started by   {_starter(shown, zone)}"
    for line in shown.lines:
        yield f"               {line.expression}  {line.command}  ({line.source} of {line.os_user}@{line.host})"
    for scope in shown.scopes:
        yield from _scope(scope)
    yield ""
    yield "what happened"
    if shown.has_earlier_events:
        yield "  ... earlier events: add --events N"
    yield from _story(shown, zone)
    yield from _output(shown)
    yield from _log(excerpt, settings, zone)


def _starter(shown: "Shown", zone: str) -> str:
    if shown.first.slot_at is None:
        return "hand, or another program: it answers for no slot"
    told = next((slot for slot in shown.slots if not slot.is_covered), None)
    verdict = f", {told.verdict}" + (f" ({told.reason})" if told.reason else "") if told else ""
    covered = sum(slot.is_covered for slot in shown.slots)
    more = f"; did the work of {covered} earlier slots" if covered else ""
    return f"the slot of {moment(shown.first.slot_at, zone)}{verdict}{more}"


def _scope(scope: "Scope") -> Iterator[str]:
    row = scope.row
    yield ""
    took_so_far = f", {took(scope.duration_ms)}" + (" so far" if row.finished_at is None else "")
    why = scope.pulse.why if scope.pulse is not None else ""
    yield f"{row.scope or row.job}: {scope.state}{took_so_far}" + (f"; {why}" if why else "")
    if row.error_class is not None:
        yield f"  error        {row.error_class}: {render.one_line(row.error_message or '')}"
        if row.error_hint:
            yield f"  hint         {row.error_hint}"
    counts = counts_in_words(scope.counts)
    if counts:
        yield f"  counts       {counts}"
    if row.metrics:
        yield f"  metrics      {', '.join(f'{name} {number_in_words(value)}' for name, value in row.metrics.items())}"
    for note in row.notes:
        yield f"  note         {note}"
    if row.peak_memory_bytes:
        yield f"  memory       {row.peak_memory_bytes / 1e6:,.0f} MB at most"
    for name, value in (row.evidence or {}).items():
        yield f"  evidence     {name}: {_plain(value)}"
    if scope.recent_ms:
        yield f"  took before  {chart(scope.recent_ms, took)}, the oldest first"
    if any(scope.recent_records):
        yield f"  did before   {chart(scope.recent_records, number_in_words)} records"


def _story(shown: "Shown", zone: str) -> Iterator[str]:
    from jobctl.monitor.runs.steps import steps_of

    many = len(shown.scopes) > 1
    told = [
        (step.at, f"{step.step.replace('_', ' ')}{_of(step.scope, many)}: {render.one_line(step.said)}")
        for step in steps_of(shown)
    ]
    for event in shown.events:
        level = "" if event.level == "info" else f"{event.level} "
        told.append((event.at, f"{level}{event.event}{_of(event.scope, many)}{fields_in_words(event.fields)}"))
    day = None
    for at, text in sorted(told, key=lambda each: each[0]):
        shown_at = moment(at, zone)
        if shown_at[:10] != day:
            day = shown_at[:10]
            yield f"  {day} ({shown_at[20:]})"
        yield f"    {shown_at[11:19]}  {text}"


def _of(scope: str, many: bool) -> str:
    return f" {scope}" if many and scope else ""


def fields_in_words(fields: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name} {_plain(value)}" for name, value in fields.items() if value is not None)
    return f": {told}" if told else ""


def _output(shown: "Shown") -> Iterator[str]:
    for scope in shown.scopes:
        if not scope.row.output:
            continue
        lines = scope.row.output.rstrip("\n").split("\n")
        kept = lines[-SHOWN_OUTPUT:]
        yield ""
        cut = f", the last {SHOWN_OUTPUT} lines of what is kept" if len(lines) > len(kept) else ""
        yield f"output of {name_of(scope.row.job, scope.row.scope)}{cut}"
        yield from (f"  {line}" for line in kept)
        file = (scope.row.evidence or {}).get("output_file")
        if file:
            yield f"  (all of it: {file} on {scope.row.host})"


def _log(excerpt: "Excerpt", settings: "Settings", zone: str) -> Iterator[str]:
    if not excerpt.lines and not excerpt.why_not:
        return
    yield ""
    if not excerpt.lines:
        yield f"log: {excerpt.why_not}"
        return
    earlier = ", earlier ones with --log N" if excerpt.has_earlier else ""
    yield f"log of this host: {settings.log_file or Path('-')}{earlier}"
    for line in excerpt.lines:
        yield f"  {log_line(line, zone)}"


def log_line(line: Mapping[str, Any], zone: str) -> str:
    """A line of the log as a person reads it."""
    try:
        at = moment(datetime.fromisoformat(str(line.get("time"))), zone)[11:19]
    except ValueError:
        at = "??:??:??"
    fields = {name: value for name, value in line.items() if name not in LOG_CONTEXT}
    message = f" {line['message']}" if line.get("message") else ""
    scope = f" {line['scope']}" if line.get("scope") else ""
    return f"{at}  {line.get('level', '')} {line.get('event', '')}{scope}{message}{fields_in_words(fields)}"


def _plain(value: object) -> str:
    from json import dumps

    if isinstance(value, str):
        return render.one_line(value)
    text = dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "… (all of it: --json)"
