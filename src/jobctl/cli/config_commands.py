"""`jobctl config`: what is set and where it came from, and everything that is wrong with it at once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import typer

from jobctl.cli.options import JsonOption
from jobctl.cli.render import note, print_json, print_text
from jobctl.durations import format_duration
from jobctl.errors import EXIT_CONFIGURATION

if TYPE_CHECKING:
    from jobctl.settings import Loaded

MASKED_URLS = frozenset({"database_url", "smtp_url", "slack_webhook_url"})

app = typer.Typer(
    help="Show and check the settings. Secrets come from environment, env file or jobctl.toml, never from options.",
    epilog="Example: jobctl config check; jobctl config show",
    no_args_is_help=True,
)


@app.command(epilog="Example: jobctl config show --json | jq '.items[] | select(.origin != \"default\")'")
def show(as_json: JsonOption = False) -> None:
    """Print every setting with its value and where it came from. Of a secret only whether it is set."""
    from jobctl.settings import load

    loaded = load()
    if as_json:
        print_json({"items": _items(loaded), "next": None, "files": [str(path) for path in loaded.files]})
    else:
        # Plain lines, not a table: a path or an address cut to the terminal's width is no use to anybody.
        for item in _items(loaded):
            print_text(f"{item['setting']:<31} {item['shown']}   [{item['origin']}]")
    for text in loaded.notes:
        note(text)


@app.command(epilog="Example: jobctl config check && jobctl ingest-branch")
def check(as_json: JsonOption = False) -> None:
    """Explain every fault of the settings at once, each with the way to mend it (exit 78 if there are any)."""
    from jobctl.schedule.from_settings import schedule_faults
    from jobctl.settings import InvalidSettings, load

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


def _items(loaded: "Loaded") -> list[dict[str, object]]:
    """Each setting as the JSON has it; `shown` is for people, `value` is null where the value is secret."""
    from jobctl.settings import ENV_NAMES, SECRETS

    items: list[dict[str, object]] = []
    for name, env_name in ENV_NAMES.items():
        value: object = getattr(loaded.settings, name)
        secret = name in SECRETS
        items.append(
            {
                "setting": name,
                "env": env_name,
                "value": None if secret else _json_value(value),
                "shown": _shown(name, value),
                "origin": loaded.origins[name],
                "secret": secret,
                "is_set": value is not None and value not in ((), {}),
            }
        )
    return items


def _json_value(value: object) -> object:
    from jobctl.settings_schedules import ScheduleSettings

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        table = cast(Mapping[str, object], value)
        return {name: _json_value(each) for name, each in table.items()}
    if isinstance(value, ScheduleSettings):
        given = value._asdict()
        return {name: each for name, each in given.items() if each is not None}
    from jobctl.settings_alerts import AlertSettings
    from jobctl.settings_archive import ArchiveSettings
    from jobctl.settings_embeddings import EmbeddingSettings
    from jobctl.settings_mail import MailSettings
    from jobctl.settings_metrics import MetricsSettings, ServiceLevelSettings
    from jobctl.settings_monitor import SloSettings
    from jobctl.settings_queue import QueueSettings
    from jobctl.settings_report import ReportSettings
    from jobctl.settings_sync import SyncSettings

    shown_by_itself = (
        QueueSettings,
        EmbeddingSettings,
        SyncSettings,
        MetricsSettings,
        ServiceLevelSettings,
        SloSettings,
        AlertSettings,
        ReportSettings,
        MailSettings,
        ArchiveSettings,
    )
    if isinstance(value, shown_by_itself):
        return value.shown()
    if isinstance(value, tuple):
        return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)


def _shown(name: str, value: object) -> str:
    from jobctl.settings import TABLES

    if value is None or value in ((), {}):
        return "(not set)"
    if name in ("schedules", *TABLES):
        return str(_json_value(value))
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        if name not in MASKED_URLS:
            return "(set)"
        from jobctl.redact import mask_url

        return mask_url(value.get_secret_value())
    if isinstance(value, Mapping):
        table: Mapping[str, int] = value  # pyright: ignore[reportUnknownVariableType]
        return ", ".join(f"{job}={format_duration(seconds)}" for job, seconds in table.items())
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)
