"""`jobctl config`: what is set and where it came from, and everything that is wrong with it at once."""

import typer

from jobctl.cli.options import JsonOption
from jobctl.cli.render import note, print_json, print_text
from jobctl.errors import EXIT_CONFIGURATION

app = typer.Typer(
    help="Show and check the settings. Secrets come from environment, env file or jobctl.toml, never from options.",
    no_args_is_help=True,
)


@app.command(epilog="Example: jobctl config show --json | jq '.items[] | select(.origin != \"default\")'")
def show(as_json: JsonOption = False) -> None:
    """Print every setting with its value and where it came from. Of a secret only whether it is set."""
    from jobctl.cli.config_views import setting_objects
    from jobctl.settings_reading.load import load

    loaded = load()
    items = setting_objects(loaded)
    if as_json:
        print_json({"items": items, "next": None, "files": [str(path) for path in loaded.files]})
    else:
        # Plain lines, not a table: a path or an address cut to the terminal's width is no use to anybody.
        for item in items:
            print_text(f"{item['setting']:<31} {item['shown']}   [{item['origin']}]")
    for text in loaded.notes:
        note(text)


@app.command(epilog="Example: jobctl config check && jobctl ingest-branch")
def check(as_json: JsonOption = False) -> None:
    """Explain every fault of the settings at once, each with the way to mend it (exit 78 if there are any)."""
    from jobctl.schedule.from_settings import schedule_faults
    from jobctl.settings_reading.fault import InvalidSettings
    from jobctl.settings_reading.load import load

    try:
        loaded = load()
        faults = schedule_faults(loaded)
        if faults:
            raise InvalidSettings(faults)
    except InvalidSettings as error:
        faults = error.faults
        if as_json:
            items = [
                {"setting": fault.setting, "origin": fault.origin, "message": fault.message, "mend": fault.mend}
                for fault in faults
            ]
            print_json({"ok": False, "items": items, "next": None})
        else:
            print_text(f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'} in the settings")
            for fault in faults:
                print_text(f"\n  {fault.message}\n    from: {fault.origin}\n    mend: {fault.mend}")
        raise typer.Exit(EXIT_CONFIGURATION) from None
    if as_json:
        print_json({"ok": True, "items": [], "next": None})
    else:
        read = ", ".join(str(path) for path in loaded.files) or "no files"
        note(f"settings are in order ({read})")
    for text in loaded.notes:
        note(text)
