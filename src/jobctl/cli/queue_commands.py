"""jobctl queue: look at the tasks, ask why one waits, and change what becomes of them."""

from typing import Annotated

import typer

from jobctl.cli import completion, queue_changes, queue_enqueue
from jobctl.cli.options import LARGEST_NUMBER, JsonOption

app = typer.Typer(
    help="Tasks that other jobs left behind: what waits and why, what failed, and how fast it goes.",
    epilog="Example: jobctl queue stats; jobctl queue list --state failed; jobctl queue why 4711; "
    "jobctl queue retry 4711",
    no_args_is_help=True,
    rich_markup_mode=None,
)

IdArgument = Annotated[int, typer.Argument(metavar="ID", min=1, max=LARGEST_NUMBER, help="The task's number.")]
SHOWN_TRIES = 50
LONGEST_PAGE = 1_000


@app.command("list", epilog="Example: jobctl queue list --state failed --type crawl --since 1d --json")
def list_(
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only of this type; may be repeated.", autocompletion=completion.task_types),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="Only queued, running, succeeded, failed, blocked or cancelled ones; may be repeated.",
            autocompletion=completion.task_states,
        ),
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help='Only of this user; "" are nobody\'s.')] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only changed since: 1d, 12h, or a time (ISO 8601).")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LONGEST_PAGE, help="Tasks on a page.")] = 50,
    after: Annotated[
        int | None, typer.Option("--after", min=1, max=LARGEST_NUMBER, help="Those after this id: the page's `next`.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List tasks, the newest first."""
    from jobctl import clock
    from jobctl.cli import queue_views
    from jobctl.cli.render import note, print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import past
    from jobctl.queue import listing

    settings = current_settings()
    _check_states(state or ())
    moment = past("--since", since, clock.utc_now(), settings.timezone) if since is not None else None
    with open_database(settings).connect(purpose="queue list") as conn:
        page = listing.page(conn, types=type_, states=state, user_id=user, since=moment, after=after, limit=limit + 1)
    shown = page[:limit]
    following = shown[-1].task_id if len(page) > limit else None
    if json:
        print_json({"items": [task._asdict() for task in shown], "next": following})
        return
    queue_views.print_tasks(shown)
    if following is not None:
        note(f"More: add --after {following}")


@app.command(epilog="Example: jobctl queue show 4711 --json")
def show(task_id: IdArgument, json: JsonOption = False) -> None:
    """Show a task: payload, checkpoint, error, and each of its tries."""
    from jobctl.cli import queue_views
    from jobctl.cli.render import print_json
    from jobctl.cli.session import current_settings, open_database
    from jobctl.queue import listing

    with open_database(current_settings()).connect(purpose="queue show") as conn:
        task = listing.show(conn, task_id)
        tries = listing.attempts(conn, task_id, limit=SHOWN_TRIES)
    if task is None:
        raise queue_views.unknown_task(task_id)
    if json:
        print_json({**task._asdict(), "tries": [each._asdict() for each in tries]})
    else:
        queue_views.print_task(task, tries)


@app.command(epilog="Example: jobctl queue why 4711")
def why(task_id: IdArgument, json: JsonOption = False) -> None:
    """Say in words why a task waits, was taken from its worker, or ended as it did.

    The first reason is the answer; the others would hold it afterwards."""
    from psycopg import IsolationLevel

    from jobctl.cli import queue_views
    from jobctl.cli.render import print_json, print_text
    from jobctl.cli.session import current_settings, open_database
    from jobctl.monitor.queue import evidence
    from jobctl.monitor.queue import why as judgement

    settings = current_settings()
    database = open_database(settings)
    with database.connect(purpose="queue why") as conn:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        with database.transaction(conn):
            task = evidence.task_of(conn, task_id)
            if task is None:
                raise queue_views.unknown_task(task_id)
            facts = evidence.gather(conn, task, evidence.here(settings.queue_settings.policy_of(task.type)))
    answer = judgement.why(facts)
    if json:
        print_json(queue_views.answer_object(answer, facts.now))
        return
    print_text(answer.text)
    for reason in answer.reasons[1:]:
        print_text(f"  besides: {reason.text}")


@app.command(epilog="Example: jobctl queue stats --since 1d --type crawl --json")
def stats(
    since: Annotated[str, typer.Option("--since", help="The window: 1h, 1d, or a time (ISO 8601).")] = "1h",
    type_: Annotated[
        str | None, typer.Option("--type", help="Only tasks of this type.", autocompletion=completion.task_types)
    ] = None,
    users: Annotated[int, typer.Option("--users", min=0, max=LONGEST_PAGE, help="How many users to show.")] = 20,
    failures: Annotated[
        int,
        typer.Option("--failures", min=0, max=LONGEST_PAGE, help="How many of the latest failures to show."),
    ] = 10,
    json: JsonOption = False,
) -> None:
    """Count what waits, what ended, how long it took, what fails, and when the queue will be empty."""
    from jobctl import clock
    from jobctl.cli import queue_figures
    from jobctl.cli.session import current_settings, open_database
    from jobctl.cli.times import past
    from jobctl.errors import UsageError
    from jobctl.monitor.queue.stats import Window

    settings = current_settings()
    now = clock.utc_now()
    moment = past("--since", since, now, settings.timezone)
    if moment >= now:
        raise UsageError(
            f"--since {since!r} is not over yet", hint="give a distance such as 1h, or a time that is past"
        )
    with open_database(settings).connect(purpose="queue stats") as conn:
        figures = queue_figures.gather(conn, Window(moment, now, type_), users=users, failures=failures)
    if json:
        queue_figures.print_as_json(figures)
    else:
        queue_figures.print_for_people(figures)


def _check_states(given: "list[str] | tuple[str, ...]") -> None:
    from jobctl.did_you_mean import did_you_mean
    from jobctl.errors import UsageError
    from jobctl.queue.listing import STATES

    for name in given:
        if name not in STATES:
            meant = did_you_mean(name, STATES)
            raise UsageError(
                f"{name!r} is no state of a task",
                hint=f"did you mean {meant}?" if meant else f"one of {', '.join(STATES)}",
            )


app.command(epilog=queue_enqueue.EXAMPLE)(queue_enqueue.enqueue)
app.command(epilog=queue_changes.RETRY_EXAMPLE)(queue_changes.retry)
app.command(epilog=queue_changes.CANCEL_EXAMPLE)(queue_changes.cancel)
app.command(epilog=queue_changes.BLOCK_EXAMPLE)(queue_changes.block)
app.command(epilog=queue_changes.UNBLOCK_EXAMPLE)(queue_changes.unblock)
app.command(epilog=queue_changes.PURGE_EXAMPLE)(queue_changes.purge)
