"""The root command, which has the options that stand before any command, and the commands below it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import typer

# In the order of --help. A module that has an `app` is a group of commands, another one adds its own to the root.
MODULE_OF: Final[Mapping[str, str]] = {
    "ingest-branch": "job_commands",
    "retry-failed": "retry_command",
    "sync": "sync_command",
    "work": "work_command",
    "run": "wrap_command",
    "status": "status_command",
    "stats": "stats_command",
    "slo": "slo_command",
    "events": "event_command",
    "slots": "slot_commands",
    "pause": "slot_commands",
    "resume": "slot_commands",
    "explain": "explain_command",
    "doctor": "doctor_command",
    "insights": "insights_command",
    "quality": "quality_command",
    "alerts": "alert_commands",
    "archive": "archive_commands",
    "branch": "branch_commands",
    "config": "config_commands",
    "db": "db_commands",
    "demo": "demo_commands",
    "embeddings": "embeddings_commands",
    "export": "export_commands",
    "items": "items_commands",
    "metrics": "metrics_commands",
    "project": "project_commands",
    "queue": "queue_commands",
    "report": "report_command",
    "runs": "runs_commands",
    "schedule": "schedule_commands",
}


def root_app(word: str = "") -> typer.Typer:
    """`jobctl` with all its commands, or with the one that `word` is alone: to make the others would be a tenth of a
    start, and of each Tab."""
    app = typer.Typer(
        name="jobctl",
        help="A team's scheduled jobs as one command that system cron calls, on one PostgreSQL.",
        epilog="Start here: jobctl branch add --help; jobctl ingest-branch --help; jobctl config show",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    names = {MODULE_OF[name]: name for name in ([word] if word in MODULE_OF else MODULE_OF)}
    for module_name, name in names.items():
        module = import_module(f"jobctl.cli.{module_name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            module.add_to(app)
    return app


def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:  # reached only when other words stand beside it; alone it is answered before typer is loaded
        from jobctl.version import __version__

        print(f"jobctl {__version__}")
        raise typer.Exit
