"""How settings look to a program (the objects of `jobctl config show --json`) and to a person."""

from collections.abc import Mapping
from typing import cast

from pydantic import SecretStr

from jobctl.durations import format_duration
from jobctl.settings import ENV_NAMES, SECRETS, TABLES
from jobctl.settings_reading.load import Loaded
from jobctl.settings_schedules import ScheduleSettings
from jobctl.settings_table import Table

MASKED_URLS = frozenset({"database_url", "smtp_url", "slack_webhook_url"})


def setting_objects(loaded: Loaded) -> list[dict[str, object]]:
    """Each setting as the JSON has it; `shown` is for people, `value` is null where the value is secret."""
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
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        table = cast(Mapping[str, object], value)
        return {name: _json_value(each) for name, each in table.items()}
    if isinstance(value, ScheduleSettings):
        given = value._asdict()
        return {name: each for name, each in given.items() if each is not None}
    if isinstance(value, Table):
        return value.shown()
    if isinstance(value, tuple):
        return list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)


def _shown(name: str, value: object) -> str:
    if value is None or value in ((), {}):
        return "(not set)"
    if name in ("schedules", *TABLES):
        return str(_json_value(value))
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
