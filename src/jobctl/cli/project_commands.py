"""jobctl project: which of GitHub's repositories are followed, and what the team says of each."""

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobctl.cli import completion, impact_commands
from jobctl.cli.options import LARGEST_NUMBER, DryRunOption, JsonOption, YesOption
from jobctl.cli.render import note, print_json, print_text
from jobctl.cli.session import current_settings, open_database
from jobctl.errors import EXIT_DEGRADED, Interrupted, UsageError, exit_code_of

if TYPE_CHECKING:
    from jobctl.db.connection import Database
    from jobctl.github.client import Client
    from jobctl.jobs.sync.adding import Added, Fetched
    from jobctl.settings import Settings

app = typer.Typer(
    help="Projects are the repositories on GitHub that are followed: take them up, say whose they are, look at them.",
    epilog="Example: jobctl project add octo-org/hello --criticality high --team platform; jobctl project list",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(impact_commands.app, name="impact")
NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="OWNER/REPO", help="The project, by its name or a former one.", autocompletion=completion.projects
    ),
]
NamesArgument = Annotated[
    list[str],
    typer.Argument(metavar="OWNER/REPO...", help="The projects, by name.", autocompletion=completion.projects),
]
CriticalityOption = Annotated[
    str | None, typer.Option("--criticality", help="low, medium, high or critical (default of a new one: medium).")
]
TeamOption = Annotated[
    str | None, typer.Option("--team", help="Whose it is; none takes it back.", autocompletion=completion.teams)
]

PATIENCE_S = 90.0  # what a person waits for a limit to end
NOTHING = "none"


@app.command(
    epilog="Example: jobctl project add octo-org/hello octo-org/world --criticality high --team platform; "
    "jobctl project add --org octo-org --dry-run"
)
def add(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[OWNER/REPO]...", help="Repositories, by name or address.")
    ] = None,
    org: Annotated[str | None, typer.Option("--org", help="All repositories of this organisation.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="All public repositories of this user.")] = None,
    forks: Annotated[bool, typer.Option("--forks", help="With --org or --user: forks, too.")] = False,
    archived: Annotated[bool, typer.Option("--archived", help="With --org or --user: archived ones, too.")] = False,
    criticality: CriticalityOption = None,
    team: TeamOption = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Who answers for it; none takes it back.")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            help='When it is due to be synced, as cron has it: "15 3 * * 1", @daily, @weekly; none: each time.',
        ),
    ] = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="Take up a new one without following it yet.")] = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Follow repositories, or change what is said of them.

    What is not given stays as it is. Asks GitHub for each; one that cannot be had leaves the others alone (exit 3)."""
    from jobctl.jobs.sync import adding
    from jobctl.projects.project import Care, check_care, check_owner, parse_name

    if sum(map(bool, (names, org, user))) != 1:
        raise UsageError(
            "say which repositories: by name, or --org, or --user", hint="jobctl project add OWNER/REPO, or --org NAME"
        )
    if (forks or archived) and names:
        raise UsageError("--forks and --archived belong to --org and --user", hint="a named repository is always taken")
    care = check_care(Care(criticality, _said(team), _said(owner), _said(schedule), False if inactive else None))
    if care.schedule:
        _check_schedule(care.schedule)

    def fetched(client: "Client") -> "Iterable[Fetched]":
        if names:
            return adding.fetch(client, [adding.Wanted(parse_name(name), care) for name in dict.fromkeys(names)])
        kind, login = ("orgs", check_owner(org)) if org else ("users", check_owner(user or ""))
        return adding.fetch_of_owner(client, login, kind, care, forks=forks, archived=archived)

    for name in names or ():
        parse_name(name)  # before anything is asked
    _take_up(fetched, len(names) if names else None, dry_run=dry_run, json=json)


@app.command("import", epilog="Example: jobctl project import projects.csv --dry-run")
def import_(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="CSV with a header, or JSON lines: project, and any of criticality, team, owner, schedule, active; "
            "- is stdin.",
        ),
    ],
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Follow the repositories of a file.

    An empty cell leaves a value as it is, none takes it back. A file with a fault is refused whole."""
    from jobctl.jobs.sync import adding
    from jobctl.projects.import_file import read_rows

    rows = read_rows(_bytes_of(file), _check_schedule)
    wanted = [adding.Wanted(row.name, row.care) for row in rows]
    _take_up(lambda client: adding.fetch(client, wanted), len(wanted), dry_run=dry_run, json=json)


@app.command("list", epilog="Example: jobctl project list --team platform --json")
def list_(
    active: Annotated[bool, typer.Option("--active", help="Only those that are followed.")] = False,
    team: Annotated[
        str | None, typer.Option("--team", help="Only this team's.", autocompletion=completion.teams)
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome",
            help="Only those whose last sync ended so: forbidden, gone, failed, ...",
            autocompletion=completion.sync_outcomes,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Projects on a page.")] = 1_000,
    after: Annotated[
        int | None, typer.Option("--after", min=1, max=LARGEST_NUMBER, help="Those after this one: the page's `next`.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the projects, by name."""
    from jobctl.cli import project_views
    from jobctl.github.failures import Outcome
    from jobctl.projects import store

    if outcome is not None and outcome not in list(Outcome):
        raise UsageError(f"{outcome!r} is no outcome", hint=f"one of {', '.join(Outcome)}")
    with _database().connect(purpose="project list") as conn:
        page = store.list_projects(
            conn, active=True if active else None, team=team, outcome=outcome, after=after, limit=limit + 1
        )
    shown = page[:limit]
    following = shown[-1].project_id if len(page) > limit else None
    if json:
        print_json({"items": [project_views.project_object(each) for each in shown], "next": following})
        return
    project_views.print_projects(shown)
    if following is not None:
        note(f"More: jobctl project list --limit {limit} --after {following}")


@app.command(epilog="Example: jobctl project show octo-org/hello")
def show(name: NameArgument, json: JsonOption = False) -> None:
    """Show a project: what GitHub and the team say of it, and what its last sync did."""
    from zoneinfo import ZoneInfo

    from jobctl import clock
    from jobctl.cli import project_views
    from jobctl.jobs.sync.choosing import due_at
    from jobctl.projects import store
    from jobctl.projects.project import parse_name

    settings = current_settings()
    with open_database(settings).connect(purpose="project show") as conn:
        project = store.require(conn, parse_name(name))
        aliases = store.aliases(conn, project)
    if json:
        print_json(project_views.project_object(project) | {"aliases": aliases})
    else:
        project_views.print_project(project, aliases, due_at(project, clock.utc_now(), ZoneInfo(settings.timezone)))


@app.command(epilog="Example: jobctl project activate octo-org/hello")
def activate(names: NamesArgument, json: JsonOption = False) -> None:
    """Have sync follow projects."""
    _set_active(names, active=True, json=json)


@app.command(epilog="Example: jobctl project deactivate octo-org/hello")
def deactivate(names: NamesArgument, json: JsonOption = False) -> None:
    """Have no sync follow projects.

    What is known of them stays."""
    _set_active(names, active=False, json=json)


@app.command(epilog="Example: jobctl project remove octo-org/hello --yes")
def remove(name: NameArgument, yes: YesOption = False, json: JsonOption = False) -> None:
    """Remove a project and all that was synced of it.

    On GitHub nothing changes; added again, it is synced anew."""
    from jobctl.db.sqlstate import translated
    from jobctl.projects import store
    from jobctl.projects.project import parse_name

    database = _database()
    with translated(), database.connect(purpose="project remove") as conn, database.transaction(conn):
        project = store.require(conn, parse_name(name))
        if not yes:
            raise UsageError(
                f"nothing was removed: project {project.full_name} would go with all that was synced of it",
                hint="add --yes",
            )
        removed = store.delete(conn, project.project_id)
    if json:
        print_json({"project": project.full_name, "removed": removed})
    else:
        print_text(f"Removed project {project.full_name}.")


def _database() -> "Database":
    return open_database(current_settings())


def _set_active(names: Sequence[str], *, active: bool, json: bool) -> None:
    """All of them or none."""
    from jobctl.db.sqlstate import translated
    from jobctl.projects import store
    from jobctl.projects.project import parse_name

    database = _database()
    done: list[dict[str, Any]] = []
    with translated(), database.connect(purpose="project activate") as conn, database.transaction(conn):
        projects = {one.project_id: one for one in (store.require(conn, parse_name(name)) for name in names)}
        for _, project in sorted(projects.items()):
            changed = store.set_active(conn, project.project_id, active=active)
            done.append({"project": project.full_name, "active": active, "changed": changed})
    if json:
        print_json({"items": done, "next": None})
        return
    for each in done:
        state = "activated" if active else "deactivated"
        print_text(f"Project {each['project']} is {state}{'' if each['changed'] else ' already'}.")


# Asking GitHub -------------------------------------------------------------------------------------------------------


def _take_up(
    fetched: "Callable[[Client], Iterable[Fetched]]", expected: int | None, *, dry_run: bool, json: bool
) -> None:
    """Ask, write, tell."""
    from jobctl.cli import project_views
    from jobctl.cli.counted_progress import counted
    from jobctl.github.connect import is_anonymous

    settings = current_settings()
    database = open_database(settings)  # before GitHub is asked: what cannot be written need not be
    if is_anonymous(settings):
        note(
            "jobctl: without a token GitHub shows public repositories only and allows 60 requests an hour "
            "(set GITHUB_TOKEN)"
        )
    with _client(settings) as client:
        watched = sys.stderr.isatty() and not json
        found = list(counted(fetched(client), "asking GitHub", expected, shown=watched and expected != 1))
    added = _write(database, found, dry_run=dry_run)
    if json:
        print_json(
            {
                "items": [project_views.added_object(each) for each in added],
                "next": None,
                "dry_run": dry_run,
                "counts": project_views.counts_of(added),
                "quota": project_views.quota_object(client.account),
            }
        )
    else:
        project_views.print_added(added, dry_run=dry_run)
    failed = [each for each in added if each.error is not None]
    if failed and len(failed) == len(added) and failed[0].error is not None:
        raise typer.Exit(exit_code_of(failed[0].error))
    if failed:
        raise typer.Exit(EXIT_DEGRADED)


def _write(database: "Database", fetched: "Sequence[Fetched]", *, dry_run: bool) -> "list[Added]":
    import psycopg

    from jobctl.db.sqlstate import translated
    from jobctl.jobs.sync import adding

    with translated(), database.connect(purpose="project add") as conn, database.transaction(conn):
        added = adding.write(conn, fetched)
        if dry_run:
            raise psycopg.Rollback
    return added


@contextmanager
def _client(settings: "Settings") -> "Generator[Client, None, None]":
    """Ctrl-C ends every thread's wait and request at once."""
    import signal
    import threading

    from jobctl import clock
    from jobctl.github.connect import open_client

    stopping = threading.Event()

    def stopped() -> Interrupted:
        return Interrupted("stopped; nothing was written", signal_number=signal.SIGINT)

    def check() -> None:
        if stopping.is_set():
            raise stopped()

    def on_interrupt(_number: int, _frame: object) -> None:
        stopping.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        until = clock.monotonic() + PATIENCE_S
        with open_client(settings, until=until, sleep=stopping.wait, check=check) as client:
            yield client
    finally:
        signal.signal(signal.SIGINT, before)


# What is given -------------------------------------------------------------------------------------------------------


def _said(given: str | None) -> str | None:
    return "" if given is not None and given.lower() == NOTHING else given


def _check_schedule(text: str) -> None:
    from jobctl.schedule.expression import ExpressionError, parse

    try:
        parse(text)
    except ExpressionError as error:
        hint = 'five fields of cron, such as "15 3 * * *", or @hourly, @daily, @weekly'
        raise UsageError(f"the schedule {text!r} {error}", hint=hint) from None


def _bytes_of(file: str) -> bytes:
    from jobctl.projects.import_file import LARGEST

    try:
        if file == "-":
            return sys.stdin.buffer.read(LARGEST + 1)
        with Path(file).open("rb") as opened:
            return opened.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint="FILE is CSV or JSON lines") from error
