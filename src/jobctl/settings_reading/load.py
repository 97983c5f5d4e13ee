"""Read the settings, once, into the model.

Strength: environment, then env file, then `jobctl.toml`, then the default. All faults are collected and raised as one
InvalidSettings (exit 78), so that an operator mends them in one go.

pydantic-settings is not used. To a process that has loaded typer, psycopg and pydantic its import alone adds 28 ms of
CPU time; a load of ours added 14 ms without files and 22 ms with both while it was one module (medians of 31 pairs on
a busy machine, quartiles from 8 to 37 ms; after pydantic alone 35 ms), and its division into several at most 2 ms more
(15 pairs). Nor do pydantic-settings' errors say where a value came from. python-dotenv's parser and tomllib are loaded
only when there is a file to read.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from jobctl.settings import ENV_NAMES, SECRETS, Settings
from jobctl.settings_reading import environment
from jobctl.settings_reading.fault import Fault, InvalidSettings
from jobctl.settings_reading.found import Found, Names
from jobctl.settings_reading.places import expand, user_directory
from jobctl.settings_reading.sources import find
from jobctl.settings_reading.telling import plain, value_fault, without_secrets
from jobctl.settings_reading.together import together_faults
from jobctl.settings_runtimes import DEFAULT_MAX_RUNTIME_S

ROOT_DATA_DIR: Final = Path("/var/lib/jobctl")
PATHS: Final = frozenset({"data_dir", "log_file", "textfile_dir", "output_dir", "github_app_key_file"})


class Loaded(NamedTuple):
    """Settings, and for each field where its value came from; the files that were read; what was passed over."""

    settings: Settings
    origins: Mapping[str, str]
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    env_file: Path | None = None
    config_file: Path | None = None


def load(
    *, environ: Mapping[str, str] | None = None, config_file: Path | None = None, env_file: Path | None = None
) -> Loaded:
    """Read the settings from their sources. Raises InvalidSettings with every fault found."""
    environ = environment.of_process() if environ is None else environ
    found = find(Names(ENV_NAMES, SECRETS), environ, config_file=config_file, env_file=env_file)
    raw = _raw_values(found, environ)
    settings = _validated(found, raw)
    if settings is not None:
        found.faults.extend(together_faults(settings, found))
    if found.faults or settings is None:
        raise InvalidSettings(without_secrets(found))
    origins = {name: found.values[name].origin if name in found.values else "default" for name in Settings.model_fields}
    return Loaded(settings, origins, tuple(found.files), tuple(found.notes), found.env_file, found.config_file)


def _raw_values(found: Found, environ: Mapping[str, str]) -> dict[str, object]:
    raw: dict[str, object] = {}
    for name, value in found.values.items():
        content = value.raw
        if isinstance(content, bool) and name != "enable_slack_alerts":
            found.faults.append(value_fault(name, value, "cannot be true or false"))
        elif isinstance(content, str) and any(ord(character) < 32 or ord(character) == 127 for character in content):
            found.faults.append(value_fault(name, value, "has a line break or another control character in it"))
        elif isinstance(content, str) and name in PATHS:
            raw[name] = Path("-") if content == "-" else expand(content, environ, value.directory)
        else:
            raw[name] = content
    if "data_dir" not in found.values:
        # Root's home is closed to the account that the embedded server runs under.
        is_root = os.geteuid() == 0
        default = ROOT_DATA_DIR if is_root else user_directory(environ, "XDG_DATA_HOME", ".local/share")
        if default is None:
            message = "there is no home directory to keep data in"
            found.faults.append(Fault("data_dir", "default", message, f"set {ENV_NAMES['data_dir']} to a directory"))
        else:
            raw["data_dir"] = default
    return raw


def _validated(found: Found, raw: dict[str, object]) -> Settings | None:
    """The model; with faults, one in which the faulty fields have their defaults, so that the rest can be judged."""
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        faulty: dict[str, str] = {}
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0])
            inner = ".".join(str(part) for part in detail["loc"][1:] if part in DEFAULT_MAX_RUNTIME_S)
            if name in found.values:
                faulty.setdefault(
                    name,
                    (f"for {inner} " if inner else "") + plain(detail["type"], detail.get("ctx", {}), detail["msg"]),
                )
    for name, text in faulty.items():
        found.faults.append(value_fault(name, found.values[name], text))
    rest = {name: value for name, value in raw.items() if name not in faulty}
    if "data_dir" not in rest:
        rest["data_dir"] = Path("/nonexistent")
    return Settings.model_validate(rest)
