"""The root command, which has the options that stand before any command, and the commands below it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final, NamedTuple

import typer


class Command(NamedTuple):
    """`module` of `jobctl.cli` has an `app`, where it is a group of commands; else it adds its own to the root."""

    module: str
    summary: str  # for the list of all: whole at 80 columns


# In the order of --help.
COMMANDS: Final[Mapping[str, Command]] = {
    "ingest-branch": Command("job_commands", "Bring new and changed records of branches into core.items."),
    "retry-failed": Command("retry_command", "Put the queue right: stuck, failed and stale tasks."),
    "sync": Command("sync_command", "Bring projects, issues and pulls up to date with GitHub."),
    "work": Command("work_command", "Do the tasks of the queue that are due."),
    "run": Command("wrap_command", "Run any command with lock, limit, retries and history."),
    "status": Command("status_command", "What ran, what is running, what is wrong, what comes next."),
    "stats": Command("stats_command", "Count runs: how they ended, how long they took."),
    "slo": Command("slo_command", "What was promised and what was kept; error budgets."),
    "events": Command("event_command", "What runs did or met."),
    "slots": Command("slot_commands", "What became of each moment at which a job was to start."),
    "pause": Command("slot_commands", "Let no run of a job start until a time."),
    "resume": Command("slot_commands", "End a pause before its time."),
    "explain": Command("explain_command", "What started a run, and what came of it."),
    "doctor": Command("doctor_command", "Find by day what would fail at night."),
    "insights": Command("insights_command", "What to do, with the evidence."),
    "quality": Command("quality_command", "Check that what is stored is consistent."),
    "alerts": Command("alert_commands", "What somebody must hear of, once for each cause."),
    "archive": Command("archive_commands", "Old rows in files: list, verify, restore."),
    "branch": Command("branch_commands", "Sources of records: register, load, activate."),
    "config": Command("config_commands", "Show and check the settings."),
    "db": Command("db_commands", "Start, stop, migrate and open the database."),
    "demo": Command("demo_commands", "A year of sample data, to try everything offline."),
    "embeddings": Command("embeddings_commands", "The vectors by which items are found by their meaning."),
    "export": Command("export_commands", "The state of everything, for Prometheus."),
    "items": Command("items_commands", "Search the normalised records of all branches."),
    "metrics": Command("metrics_commands", "What is wrong in engineering right now."),
    "project": Command("project_commands", "Repositories on GitHub that are followed."),
    "queue": Command("queue_commands", "What waits and why, what failed, how fast it goes."),
    "report": Command("report_command", "Mail the week, and archive what is old."),
    "runs": Command("runs_commands", "List, show, follow, compare and cancel runs."),
    "schedule": Command("schedule_commands", "What runs when; render, install and check crontabs."),
}


def root_app(word: str = "") -> typer.Typer:
    """`jobctl` with all its commands, or with the one that `word` is alone: to make the others would be a tenth of a
    start, and of each Tab."""
    app = _empty()
    names = {COMMANDS[name].module: name for name in ([word] if word in COMMANDS else COMMANDS)}
    for module_name, name in names.items():
        module = import_module(f"jobctl.cli.{module_name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            module.add_to(app)
    return app


def list_app() -> typer.Typer:
    """What names all commands and can do none: for --help, and for a Tab behind the first letters of one. To make them
    would take longer than all the rest."""
    app = _empty()
    for name, command in COMMANDS.items():
        app.command(name, help=command.summary)(_nothing)
    return app


def _nothing() -> None:
    raise AssertionError("a command of the list was called")


def _empty() -> typer.Typer:
    app = typer.Typer(
        name="jobctl",
        help="A team's scheduled jobs as one command that system cron calls, on one PostgreSQL.",
        epilog="Start here: jobctl branch add --help; jobctl ingest-branch --help; jobctl config show",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    return app


def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:  # reached only when other words stand beside it; alone it is answered before typer is loaded
        from jobctl.version import __version__

        print(f"jobctl {__version__}")
        raise typer.Exit
