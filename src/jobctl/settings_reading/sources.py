"""What the environment, the env file and `jobctl.toml` say, the strongest first. What it means is decided in `load`.

A value is text or what TOML made of it; an empty one is as good as none, and the next weaker source is asked. Names
that cannot be meant are faults, not silence: an unknown JOBCTL_ name, an unknown key in the config file, and a near
miss of a known name in the env file (a misspelt DATABASE_URL would otherwise quietly mean the embedded server). Env
files are read by python-dotenv's parser without interpolation: a `$` in a password stays one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from jobctl.did_you_mean import did_you_mean
from jobctl.settings import PREFIX
from jobctl.settings_reading.fault import Fault
from jobctl.settings_reading.files import Unusable, permission_faults, read
from jobctl.settings_reading.found import Found, Names, Value
from jobctl.settings_reading.places import CONFIG_FILE, ENV_FILE, config_file_of, env_file_of, working_directory

# What `jobctl run` and tasks of the type `command` give along.
OF_COMMANDS = frozenset(
    {"JOBCTL_RUN_ID", "JOBCTL_CORRELATION_ID", "JOBCTL_RUN_SLOT"}
    | {"JOBCTL_TASK_ID", "JOBCTL_TASK_TYPE", "JOBCTL_TASK_ATTEMPT", "JOBCTL_TASK_USER"}
)
TEST_PREFIX = "JOBCTL_TEST_"  # names of the test suite, which the commands under test inherit


def find(
    names: Names, environ: Mapping[str, str], *, config_file: Path | None = None, env_file: Path | None = None
) -> Found:
    """Everything the sources say, strongest first. A file that is given is read instead of one that is looked for."""
    found = Found()
    directory = working_directory()
    _read_environment(found, names, environ, directory or Path("/"))
    found.env_file = env_file or env_file_of(environ, directory, found.notes)
    if found.env_file is not None:
        _read_env_file(found, names, found.env_file)
    found.config_file = config_file or config_file_of(environ, directory, found.notes)
    if found.config_file is not None:
        _read_config_file(found, names, found.config_file)
    return found


# Environment and env file ------------------------------------------------------------------------------------------


def _read_environment(found: Found, names: Names, environ: Mapping[str, str], directory: Path) -> None:
    field_of = names.field_of()
    for env_name, name in field_of.items():
        if environ.get(env_name, "").strip():
            found.add(name, Value(environ[env_name].strip(), f"environment {env_name}", directory))
    for env_name in sorted(environ):
        if not env_name.startswith(PREFIX) or env_name.startswith(TEST_PREFIX):
            continue
        if env_name not in field_of and env_name not in (ENV_FILE, CONFIG_FILE, *OF_COMMANDS):
            found.faults.append(_unknown(env_name, "environment", field_of))


def _read_env_file(found: Found, names: Names, path: Path) -> None:
    import io

    from dotenv.parser import parse_stream

    origin = f"env file {path}"
    try:
        text, status = read(path)
    except Unusable as fault:
        found.faults.append(Fault(ENV_FILE, origin, fault.message, fault.mend))
        return
    found.files.append(path)
    field_of = names.field_of()
    said: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            line = binding.original.line
            found.faults.append(
                Fault(
                    ENV_FILE,
                    origin,
                    f"line {line} of {path} cannot be read",
                    "write each line as NAME=value or # comment",
                )
            )
        elif binding.key is not None and binding.value is not None:
            said[binding.key] = binding.value.strip()  # a name said twice means what was said last, as in a shell
    for env_name, value in said.items():
        name = field_of.get(env_name)
        if name is not None and value:
            found.add(name, Value(value, origin, path.parent))
        elif name is None and (env_name.startswith(PREFIX) or did_you_mean(env_name, field_of, cutoff=0.85)):
            found.faults.append(_unknown(env_name, origin, field_of))
    secret = any(value and field_of.get(env_name) in names.secret for env_name, value in said.items())
    found.faults.extend(permission_faults(path, status, origin, secret=secret))


def _unknown(env_name: str, origin: str, field_of: Mapping[str, str]) -> Fault:
    bare = env_name.removeprefix(PREFIX)
    known = [*field_of, ENV_FILE, CONFIG_FILE]
    longer = [name for name in known if env_name.startswith(name + "_") or name.startswith(env_name + "_")]
    meant = bare if bare in field_of else longer[0] if len(longer) == 1 else did_you_mean(env_name, known)
    mend = f"did you mean {meant}?" if meant else "remove it; jobctl config show lists the names there are"
    return Fault(env_name, origin, f"{env_name} is not a setting", mend)


# Config file -------------------------------------------------------------------------------------------------------


def _read_config_file(found: Found, names: Names, path: Path) -> None:
    import tomllib

    origin = f"config file {path}"
    try:
        text, status = read(path)
    except Unusable as fault:
        found.faults.append(Fault(CONFIG_FILE, origin, fault.message, fault.mend))
        return
    found.files.append(path)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found.faults.append(
            Fault(CONFIG_FILE, origin, f"{path} is not TOML: {error}", 'write each line as name = "value"')
        )
        secret = any(name in text for name in names.secret)
        found.faults.extend(permission_faults(path, status, origin, secret=secret))
        return
    secret = False
    for name, value in document.items():
        if name not in names.env:
            meant = did_you_mean(name.lower(), names.env)
            mend = f"did you mean {meant}?" if meant else "remove it; jobctl config show lists the names there are"
            found.faults.append(Fault(name, origin, f"{name} is not a setting", mend))
            continue
        raw = value.strip() if isinstance(value, str) else value
        if raw not in ("", [], {}):
            secret = secret or name in names.secret or (name == "queue" and _holds_secrets(raw))
            found.add(name, Value(raw, origin, path.parent))
    found.faults.extend(permission_faults(path, status, origin, secret=secret))


def _holds_secrets(queue: object) -> bool:
    if not isinstance(queue, Mapping) or "endpoints" not in queue:
        return False
    from jobctl.settings_outside import holds_secrets

    return holds_secrets(cast(object, queue))
