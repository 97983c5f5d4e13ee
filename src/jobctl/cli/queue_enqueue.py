"""jobctl queue enqueue: one task from options, or many from a file of JSON lines."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer

from jobctl.cli import completion
from jobctl.cli.options import JsonOption
from jobctl.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from jobctl.queue.enqueue import Request

EXAMPLE = (
    """Examples:\n
\b
  jobctl queue enqueue http --payload '{"path": "/rebuild"}' --user user-17
  jobctl queue enqueue crawl --payload @site.json --dedupe-key example.org --at 2h
  zcat tasks.ndjson.gz | jobctl queue enqueue crawl --file -
\n
A line of --file: {"payload": {...}, "user": "u1", "organization": "o1", "site": "https://...", "priority": 5, """
    """"at": "2026-12-24T18:00", "dedupe_key": "k", "type": "crawl"}; what it leaves out is as the options say."""
)
LEAST_PRIORITY, MOST_PRIORITY = -32_768, 32_767
LONGEST_TEXT = 2_000
TEXTS = {
    "type": "type",
    "user": "user_id",
    "organization": "organization_id",
    "site": "site_url",
    "dedupe_key": "dedupe_key",
}
KEYS = (*TEXTS, "payload", "priority", "at")


class Fault(ValueError):
    """What is wrong with one task, in an operator's words."""


class Clock(NamedTuple):
    now: "datetime"
    zone: str


def enqueue(
    type_: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            help="The type of the task, which decides who handles it.",
            autocompletion=completion.task_types,
        ),
    ],
    payload: Annotated[
        str | None, typer.Option("--payload", metavar="JSON", help="A JSON object; @FILE reads one, - reads stdin.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="Many tasks, a JSON object a line; - is stdin.")
    ] = None,
    user: Annotated[str, typer.Option("--user", help="Whose limit and turn it counts against.")] = "",
    organization: Annotated[str | None, typer.Option("--organization", help="The organisation it is for.")] = None,
    site: Annotated[str | None, typer.Option("--site", help="The site it is about.")] = None,
    priority: Annotated[
        int,
        typer.Option(
            "--priority", min=LEAST_PRIORITY, max=MOST_PRIORITY, help="Each step is worth ten minutes of waiting."
        ),
    ] = 0,
    at: Annotated[str | None, typer.Option("--at", help="Not before: 2h, or a time (ISO 8601).")] = None,
    dedupe_key: Annotated[
        str | None,
        typer.Option("--dedupe-key", help="A waiting task of the same type and key takes this one's content."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Put a task into the queue, or many: all of a file or nothing."""
    from jobctl import clock
    from jobctl.cli.session import current_settings, open_database
    from jobctl.db.sqlstate import translated
    from jobctl.queue import listing
    from jobctl.queue.enqueue import enqueue as put

    if payload is not None and file is not None:
        raise UsageError("--payload and --file exclude each other", hint="a line of the file has its own payload")
    settings = current_settings()
    times = Clock(clock.utc_now(), settings.timezone)
    given: dict[str, object] = {
        "type": type_,
        "user": user,
        "organization": organization,
        "site": site,
        "priority": priority,
        "at": at,
        "dedupe_key": dedupe_key,
    }
    if file is None:
        if payload is not None:
            given["payload"] = _parsed(_payload_text(payload), "--payload")
        requests = [_or_usage_error("", given, times)]
    else:
        requests = list(_from_lines(_lines(file), given, times))
    database = open_database(settings)
    with translated(), database.connect(purpose="queue enqueue") as conn, database.transaction(conn):
        done = put(conn, requests)
        task_id = listing.just_enqueued(conn, requests[0], is_new=done.new == 1) if len(requests) == 1 else None
    _report(requests, done.new, done.superseded, task_id, as_json=json)


def request_of(given: dict[str, Any], times: Clock) -> "Request":
    """Raises Fault for what is no task."""
    from jobctl.cli.times import future
    from jobctl.queue.enqueue import Request

    unknown = sorted(given.keys() - set(KEYS))
    if unknown:
        raise Fault(f"has {unknown[0]!r}, which is not known: one of {', '.join(KEYS)}")
    values: dict[str, Any] = {ours: _text(given, name) for name, ours in TEXTS.items()}
    if not values["type"]:
        raise Fault("has no type")
    priority = given.get("priority") or 0
    if not isinstance(priority, int) or isinstance(priority, bool) or not LEAST_PRIORITY <= priority <= MOST_PRIORITY:
        raise Fault(f"has priority {priority!r}, which is no whole number from {LEAST_PRIORITY} to {MOST_PRIORITY}")
    payload = given.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise Fault("has a payload that is no JSON object")
    at = _text(given, "at")
    try:
        scheduled_at = None if at is None else future("at", at, times.now, times.zone)
    except UsageError as error:
        raise Fault(f"has {error.message}") from None
    values["user_id"] = values["user_id"] or ""
    return Request(**values, payload=payload, priority=priority, scheduled_at=scheduled_at)


def _text(given: dict[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
        raise Fault(f"has {name} that is no text of at most {LONGEST_TEXT:,} printable characters")
    return value


def _or_usage_error(where: str, given: dict[str, Any], times: Clock) -> "Request":
    try:
        return request_of(given, times)
    except Fault as fault:
        raise UsageError(
            f"{where or 'the task'} {fault}", hint="nothing was enqueued; see: jobctl queue enqueue --help"
        ) from None


def _from_lines(lines: Iterable[str], given: dict[str, Any], times: Clock) -> "Iterator[Request]":
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found = _parsed(line, f"line {number}")
            yield _or_usage_error(f"line {number}", given | found, times)


def _parsed(text: str, where: str) -> dict[str, Any]:
    import json

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is no JSON")

    try:
        found: object = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}", hint="nothing was enqueued") from None
    if not isinstance(found, dict):
        raise UsageError(f"{where} is no JSON object", hint='nothing was enqueued; write {"key": "value"}')
    if "\\u0000" in json.dumps(found):
        raise UsageError(f"{where} holds the character NUL, which PostgreSQL cannot keep", hint="nothing was enqueued")
    return cast("dict[str, Any]", found)


def _payload_text(given: str) -> str:
    if given == "-":
        return _read("-", "--payload")
    return _read(given[1:], "--payload") if given.startswith("@") else given


def _read(name: str, option: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"cannot read {name}: {error.strerror}", hint=f"{option} names a file, or - for stdin"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 (byte {error.start:,})", hint="nothing was enqueued") from None


def _lines(name: str) -> list[str]:
    return _read(name, "--file").split("\n")


def _report(requests: "list[Request]", new: int, superseded: int, task_id: int | None, *, as_json: bool) -> None:
    import socket
    from importlib.metadata import entry_points

    from jobctl.cli.render import note, print_json, print_text
    from jobctl.queue.handler import GROUP

    known = {point.name for point in entry_points(group=GROUP)}
    missing = sorted({request.type for request in requests} - known)
    warnings = [
        f"no handler of type {name!r} is registered on {socket.gethostname()}; the task waits for a host that has one"
        for name in missing
    ]
    if as_json:
        print_json({"task_id": task_id, "new": new, "superseded": superseded, "warnings": warnings})
        return
    if task_id is not None:
        print_text(f"task {task_id} is queued" if new else f"task {task_id} waits for the same and took this content")
    else:
        print_text(
            f"{new:,} tasks are queued"
            + (f"; {superseded:,} went into tasks that wait for the same" if superseded else "")
        )
    for warning in warnings:
        note(f"warning: {warning}")
