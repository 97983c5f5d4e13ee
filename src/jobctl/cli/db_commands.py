"""jobctl db: the embedded PostgreSQL by hand, the schema, and the way in for other programs."""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from jobctl.cli.options import JsonOption
from jobctl.cli.render import note, print_as_it_is, print_json, print_table, print_text
from jobctl.cli.session import current_settings, open_database
from jobctl.errors import ConfigurationError, DatabaseUnavailable, UsageError

if TYPE_CHECKING:
    from jobctl.settings import Settings

app = typer.Typer(
    help="Start, stop and look at the database; bring it to this version's schema; open it in other programs.",
    epilog="Example: jobctl db status; jobctl db migrate; jobctl db psql. Without DATABASE_URL the database is an "
    "embedded PostgreSQL, which starts by itself when it is needed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
WaitOption = Annotated[float, typer.Option("--wait", min=0, help="Wait at most this many seconds.")]


@app.command(epilog="Example: jobctl db start --wait 120")
def start(
    wait: WaitOption = 60,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over a data directory that came from another host.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Start the embedded PostgreSQL, creating it on first use. Harmless if it runs."""
    from jobctl.db import embedded

    settings = current_settings()
    if settings.database_url is None:
        embedded.ensure_running(settings.data_dir, run_as_user=settings.run_as_user, start_limit_s=wait, adopt=adopt)
    _print_status(_status(settings), as_json=json)


@app.command(epilog="Example: jobctl db stop --wait 300")
def stop(
    wait: WaitOption = 60,
    force: Annotated[
        bool, typer.Option("--force", help="Cut the sessions of live runs. They continue next time.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Stop the embedded PostgreSQL. Refused while runs or other programs are connected."""
    from jobctl.db import embedded

    settings = current_settings()
    if settings.database_url is not None:
        raise UsageError(
            "DATABASE_URL names a server that jobctl neither starts nor stops",
            hint="unset it to reach the embedded one",
        )
    if not force:
        _refuse_while_in_use(settings)
    was_running = embedded.stop(settings.data_dir, wait_s=wait, force=force)
    if json:
        print_json({"stopped": was_running, "data_dir": settings.data_dir})
    else:
        print_text("The embedded PostgreSQL is stopped." if was_running else "The embedded PostgreSQL was not running.")


@app.command(epilog="Example: jobctl db status --json")
def status(json: JsonOption = False) -> None:
    """Say which database is used, whether it is up, and whether its schema fits. Starts nothing."""
    _print_status(_status(current_settings()), as_json=json)


@app.command(epilog="Example: DATABASE_URL=postgresql://owner@db.example/jobctl jobctl db migrate")
def migrate(
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for another migration.")] = 300,
    json: JsonOption = False,
) -> None:
    """Bring the database to the schema that this version of jobctl needs. Harmless if it is there."""
    from jobctl.db import migrate as migrations

    applied = migrations.migrate(open_database(current_settings(), need_schema=False), wait_limit_s=wait)
    version = migrations.expected_version()
    if json:
        items = [{"version": each.version, "name": each.name, "duration_ms": each.duration_ms} for each in applied]
        print_json({"items": items, "next": None, "schema_version": version})
    elif applied:
        print_table("Applied", ["version", "name", "ms"], [[a.version, a.name, a.duration_ms] for a in applied])
    else:
        print_text(f"The schema is at version {version} already.")


@app.command(epilog='Example: pg_dump "$(jobctl db url)" > jobctl.sql')
def url(
    show_password: Annotated[
        bool, typer.Option("--show-password", help="Print the password too, if there is one.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Print the database's address for other programs. Its password is masked."""
    from jobctl.db.address import to_url

    address = to_url(_dsn(current_settings()), show_password=show_password)
    if json:
        print_json({"url": address})
    else:
        print_as_it_is(address)


@app.command(
    epilog="Example: jobctl db psql -c 'SELECT job, status FROM ops.job_history ORDER BY started_at DESC LIMIT 5'",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def psql(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[PSQL ARGUMENTS]...", help="Options and arguments of psql's own.")
    ] = None,
) -> None:
    """Open the database in psql. What follows goes to psql."""
    import os
    import shutil

    from jobctl.db import embedded
    from jobctl.db.address import to_client

    settings = current_settings()
    if settings.database_url is None:
        embedded.ensure_running(settings.data_dir, run_as_user=settings.run_as_user)
    environment, rest = to_client(_dsn(settings))
    program = embedded.psql_path() or shutil.which("psql")
    if program is None:
        raise ConfigurationError(
            "there is no psql here", hint="apt install postgresql-client, or pip install 'jobctl[embedded]'"
        )
    for name, value in environment.items():  # not the command line: every account can read that
        os.putenv(name, value)
    os.execv(program, [str(program), *([f"--dbname={rest}"] if rest else []), *(arguments or [])])  # noqa: S606 - no shell is the point


@app.command(epilog="Example: jobctl db grants --worker jobs | psql service=admin")
def grants(
    owner: Annotated[str, typer.Option(help="The role that migrates.")] = "jobctl_owner",
    worker: Annotated[str, typer.Option(help="The role that runs the jobs.")] = "jobctl_worker",
    reader: Annotated[str, typer.Option(help="The role that only reads.")] = "jobctl_reader",
    json: JsonOption = False,
) -> None:
    """Print the SQL that makes the three roles and gives each what it needs. Connects to nothing."""
    from jobctl.db.grants import script

    text = script(owner=owner, worker=worker, reader=reader)
    if json:
        print_json({"owner": owner, "worker": worker, "reader": reader, "sql": text})
    else:
        print_as_it_is(text.rstrip("\n"))


def _dsn(settings: "Settings") -> str:
    from jobctl.db import embedded

    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded.dsn(settings.data_dir)


def _status(settings: "Settings") -> dict[str, object]:
    """What there is to say, under the same keys for both kinds of server."""
    from jobctl.db import embedded, migrate
    from jobctl.db.address import to_url

    external = settings.database_url is not None
    said: dict[str, object] = {
        "kind": "external" if external else "embedded",
        "state": "running",
        "url": to_url(_dsn(settings)),
        "version": None,
        "schema_version": None,
        "expected_schema_version": migrate.expected_version(),
        "pooled": None,
        "sessions": None,
        "pid": None,
        "owner": None,
        "data_dir": None,
        "log": None,
        "detail": "",
    }
    if not external:
        found = embedded.status(settings.data_dir)
        said |= {"state": found.state, "version": found.version, "pid": found.pid, "owner": found.owner}
        said |= {"data_dir": found.data_dir, "log": found.log, "detail": found.text}
        if found.state != "running":
            return said
    return said | _asked(_dsn(settings))


def _asked(dsn: str) -> dict[str, object]:
    """What the server itself says."""
    from jobctl.db import migrate, sessions
    from jobctl.db.connection import locate

    database = locate(dsn, "jobctl")
    with database.connect(purpose="status") as conn:
        return {
            "version": conn.info.parameter_status("server_version"),
            "pooled": database.pooled,
            "schema_version": migrate.current_version(conn),
            "sessions": [{"name": each.name, "count": each.count} for each in sessions.others(conn)],
        }


def _print_status(said: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(said)
        return
    shown = said | {"sessions": _count(said["sessions"])}
    for name, value in shown.items():
        if value is not None and value != "":
            print_text(f"{name.replace('_', ' '):<25}{value}")  # no table: it would cut paths
    if said["kind"] == "external":
        note("DATABASE_URL names this server; jobctl neither starts nor stops it.")


def _count(sessions: object) -> int | None:
    return sum(each["count"] for each in cast("list[dict[str, int]]", sessions)) if sessions is not None else None


def _refuse_while_in_use(settings: "Settings") -> None:
    from jobctl.db import embedded, sessions
    from jobctl.db.connection import Database

    if embedded.status(settings.data_dir).state != "running":
        return
    with Database(embedded.dsn(settings.data_dir), "jobctl").connect(purpose="stop") as conn:
        found = sessions.others(conn)
    if found:
        names = ", ".join(f"{each.name or 'unnamed'} ({each.count})" for each in found)
        raise DatabaseUnavailable(f"the embedded PostgreSQL is in use: {names}", hint="wait for them, or add --force")
