"""jobctl queue retry, cancel, block, unblock, purge: tasks named by number, or all that a filter means."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from jobctl.cli import completion
from jobctl.cli.options import LARGEST_NUMBER, DryRunOption, JsonOption, YesOption
from jobctl.errors import UsageError

if TYPE_CHECKING:
    from jobctl.queue.sweep import Change, Which

RETRY_EXAMPLE = "Example: jobctl queue retry 4711; jobctl queue retry --failed --type crawl --reset-attempts"
CANCEL_EXAMPLE = "Example: jobctl queue cancel 4711 --reason 'wrong site'; jobctl queue cancel --user user-17 --yes"
BLOCK_EXAMPLE = "Example: jobctl queue block --type crawl (and later: jobctl queue unblock --type crawl)"
UNBLOCK_EXAMPLE = "Example: jobctl queue unblock --all"
PURGE_EXAMPLE = "Example: jobctl queue purge --older-than 30d --state succeeded --state cancelled --yes"

IdsArgument = Annotated[
    list[int] | None,
    typer.Argument(metavar="[ID]...", min=1, max=LARGEST_NUMBER, help="The tasks' numbers.", show_default=False),
]
TypeOption = Annotated[
    list[str] | None,
    typer.Option("--type", help="All of this type; may be repeated.", autocompletion=completion.task_types),
]
UserOption = Annotated[str | None, typer.Option("--user", help='All of this user; "" are nobody\'s.')]
AllOption = Annotated[bool, typer.Option("--all", help="All there are.")]
LONGEST_REASON = 500


def retry(
    task_ids: IdsArgument = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="All that failed for good (with --type, --user: of those).")
    ] = False,
    type_: TypeOption = None,
    user: UserOption = None,
    reset_attempts: Annotated[
        bool, typer.Option("--reset-attempts", help="All its tries again; without it a spent task gets one more.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Let failed or cancelled tasks run again, now.

    A waiting task that pauses after an error, or is scheduled for later, is due now. A task whose twin waits already
    (the same subject or key) stays what it is."""
    from jobctl.cli import queue_account
    from jobctl.queue import changes
    from jobctl.queue.sweep import Which

    change = partial(changes.retry, reset_attempts=reset_attempts)
    if task_ids:
        _no_filter(failed, type_, user)
        queue_account.by_number(
            "retry", task_ids, lambda conn, ids: [*change(conn, ids), *changes.hurry(conn, ids)], json
        )
        return
    if not failed:
        raise UsageError("which tasks?", hint="name them by number, or say --failed (and --type, --user)")
    queue_account.by_filter("retry", Which(("failed",), _types(type_), user), change, json)


def cancel(
    task_ids: IdsArgument = None,
    type_: TypeOption = None,
    user: UserOption = None,
    every: AllOption = False,
    running: Annotated[bool, typer.Option("--running", help="Of a filter's tasks also those that run.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands with the task.")] = "",
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Withdraw waiting, blocked and running tasks.

    What a running one brings at its end is refused, and its try does not count."""
    from jobctl.accounts import current_user
    from jobctl.cli import queue_account
    from jobctl.queue import changes

    if len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason is longer than {LONGEST_REASON} characters")
    message = f"by {current_user()}" + (f": {reason.strip()}" if reason.strip() else "")
    change = partial(changes.cancel, message=message)
    if task_ids:
        _no_filter(every or running, type_, user)
        queue_account.by_number("cancel", task_ids, change, json)
        return
    states = ("queued", "blocked", "running") if running else ("queued", "blocked")
    which = _filtered(states, type_, user, every=every)
    queue_account.by_filter("cancel", which, change, json, ask=None if yes else "cancelled")


def block(
    task_ids: IdsArgument = None,
    type_: TypeOption = None,
    user: UserOption = None,
    every: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Hold waiting tasks back until they are unblocked.

    Tasks that come later are not held; to hold all work back: jobctl pause work."""
    from jobctl.queue import changes

    _change("block", ("queued",), changes.block, task_ids, type_, user, every=every, json=json)


def unblock(
    task_ids: IdsArgument = None,
    type_: TypeOption = None,
    user: UserOption = None,
    every: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Let blocked tasks wait for their turn again.

    One whose twin waits already (the same subject or key) is cancelled: the twin does its work."""
    from jobctl.queue import changes

    _change("unblock", ("blocked",), changes.unblock, task_ids, type_, user, every=every, json=json)


def purge(
    older_than: Annotated[str, typer.Option("--older-than", help="Ended before: 30d, or a time (ISO 8601).")],
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="Only succeeded, failed or cancelled ones; may be repeated (default: all three).",
            autocompletion=completion.among(("succeeded", "failed", "cancelled")),
        ),
    ] = None,
    type_: TypeOption = None,
    user: UserOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Remove finished tasks with the rows of their tries. There is no way back."""
    from jobctl import clock
    from jobctl.cli import queue_account
    from jobctl.cli.session import current_settings
    from jobctl.cli.times import past
    from jobctl.queue import changes
    from jobctl.queue.sweep import Which

    for name in state or ():
        if name not in changes.FINISHED:
            raise UsageError(
                f"{name!r} is no state in which a task has finished", hint=f"one of {', '.join(changes.FINISHED)}"
            )
    now = clock.utc_now()
    moment = past("--older-than", older_than, now, current_settings().timezone)
    if moment > now:
        raise UsageError(f"--older-than {older_than!r} is still to come", hint="give an age such as 30d")
    which = Which(tuple(state) if state else changes.FINISHED, _types(type_), user, moment)
    queue_account.by_filter("purge", which, changes.purge, json, ask=None if yes else "removed", dry_run=dry_run)


def _change(
    action: str,
    states: tuple[str, ...],
    change: "Change",
    task_ids: Sequence[int] | None,
    type_: list[str] | None,
    user: str | None,
    *,
    every: bool,
    json: bool,
) -> None:
    from jobctl.cli import queue_account

    if task_ids:
        _no_filter(every, type_, user)
        queue_account.by_number(action, task_ids, change, json)
    else:
        queue_account.by_filter(action, _filtered(states, type_, user, every=every), change, json)


def _no_filter(flag: bool, type_: list[str] | None, user: str | None) -> None:
    if flag or type_ or user is not None:
        raise UsageError("tasks are named by number or meant by a filter, not both", hint="leave one out")


def _filtered(states: tuple[str, ...], type_: list[str] | None, user: str | None, *, every: bool) -> "Which":
    from jobctl.queue.sweep import Which

    if every == bool(type_ or user is not None):
        hint = "leave --all out, or the rest" if every else "name them by number, or say --type, --user or --all"
        raise UsageError("which tasks?", hint=hint)
    return Which(states, _types(type_), user)


def _types(type_: list[str] | None) -> tuple[str, ...] | None:
    return tuple(type_) if type_ else None
