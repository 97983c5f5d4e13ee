"""The root command, which has the options that stand before any command."""

import typer


def root_app() -> typer.Typer:
    """`jobctl` itself, as yet without a command."""
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
