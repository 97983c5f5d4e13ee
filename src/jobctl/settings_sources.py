"""Where settings come from: the environment, an env file, `jobctl.toml`. What they mean is decided in `settings`.

**Env file**, the first that exists: the file JOBCTL_ENV_FILE names, `./jobctl.env`, `~/.config/jobctl/env` (or
below XDG_CONFIG_HOME), `/etc/jobctl/env`. **Config file**, likewise: the file JOBCTL_CONFIG names, `./jobctl.toml`,
`~/.config/jobctl/jobctl.toml`, `/etc/jobctl/jobctl.toml`. One of each is read, never several. Cron starts in the home
directory with almost no environment, so a crontab names the file in a line of its own
(`JOBCTL_ENV_FILE=/etc/jobctl/env`) or the file lies in one of the two fixed places. A plain `.env` is never read
unnamed, because in a strange directory it is somebody else's and its DATABASE_URL another database; the two files of
the working directory are passed over when others can write to that directory. `jobctl config show` tells what was.

**Who may have written it**: a file belongs to root or to the user who runs jobctl, and the world cannot write to it. A
file that sets a secret is readable by its owner alone. The mode is taken from the opened file, not from its name.

A value is text or what TOML made of it; an empty one is as good as none, and the next weaker source is asked. Names
that cannot be meant are faults, not silence: an unknown JOBCTL_ name, an unknown key in the config file, and a near
miss of a known name in the env file (a misspelt DATABASE_URL would otherwise quietly mean the embedded server). Env
files are read by python-dotenv's parser without interpolation: a `$` in a password stays one.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

ENV_FILE = "JOBCTL_ENV_FILE"
CONFIG_FILE = "JOBCTL_CONFIG"
PREFIX = "JOBCTL_"
# What `jobctl run` and tasks of the type `command` give along.
OF_COMMANDS = frozenset(
    {"JOBCTL_RUN_ID", "JOBCTL_CORRELATION_ID", "JOBCTL_RUN_SLOT"}
    | {"JOBCTL_TASK_ID", "JOBCTL_TASK_TYPE", "JOBCTL_TASK_ATTEMPT", "JOBCTL_TASK_USER"}
)
TEST_PREFIX = "JOBCTL_TEST_"  # names of the test suite, which the commands under test inherit
LARGEST_FILE = 1 << 20


class Fault(NamedTuple):
    """One thing that is wrong, where it was said, and the way to mend it."""

    setting: str
    origin: str
    message: str
    mend: str


class Value(NamedTuple):
    """A value as it was found, and the directory that a relative path in it counts from."""

    raw: object
    origin: str
    directory: Path


@dataclass(slots=True)
class Found:
    """All that the sources said. `weaker` are values that a stronger source hid: their secrets are secrets too."""

    values: dict[str, Value] = field(default_factory=dict[str, Value])
    weaker: list[tuple[str, Value]] = field(default_factory=list[tuple[str, Value]])
    faults: list[Fault] = field(default_factory=list[Fault])
    notes: list[str] = field(default_factory=list[str])
    files: list[Path] = field(default_factory=list[Path])
    env_file: Path | None = None
    config_file: Path | None = None

    def add(self, name: str, value: Value) -> None:
        """Keep the first, which is the strongest."""
        if name in self.values:
            self.weaker.append((name, value))
        else:
            self.values[name] = value


class Names(NamedTuple):
    """The settings there are, by field, with the name each has in the environment; and which are secret."""

    env: Mapping[str, str]
    secret: frozenset[str]

    def field_of(self) -> dict[str, str]:
        return {env: name for name, env in self.env.items()}


class _Unusable(Exception):
    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend


def find(
    names: Names, environ: Mapping[str, str], *, config_file: Path | None = None, env_file: Path | None = None
) -> Found:
    """Everything the sources say, strongest first."""
    found = Found()
    working_directory = _working_directory()
    _read_environment(found, names, environ, working_directory or Path("/"))
    chosen = env_file or _named(environ.get(ENV_FILE), environ, working_directory)
    path = chosen or _first(found, _env_places(environ, working_directory), working_directory)
    if path is not None:
        found.env_file = path
        _read_env_file(found, names, path, ENV_FILE)
    chosen = config_file or _named(environ.get(CONFIG_FILE), environ, working_directory)
    path = chosen or _first(found, _config_places(environ, working_directory), working_directory)
    if path is not None:
        found.config_file = path
        _read_config_file(found, names, path, CONFIG_FILE)
    return found


def home(environ: Mapping[str, str]) -> Path | None:
    """The home directory; without HOME that of the password database; for an unknown user none."""
    named = environ.get("HOME", "")
    if named.startswith("/"):
        return Path(named)
    import pwd

    try:
        listed = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return None
    return Path(listed) if listed.startswith("/") else None


def user_directory(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """jobctl's own directory after the XDG rules: the variable if it is absolute, else the place below home."""
    named = environ.get(variable, "")
    if named.startswith("/"):
        return Path(named) / "jobctl"
    base = home(environ)
    return base / below_home / "jobctl" if base else None


def expand(path: str, environ: Mapping[str, str], directory: Path) -> Path:
    """An absolute path: `~/` is the home directory, anything else relative counts from `directory`."""
    if path == "~" or path.startswith("~/"):
        base = home(environ)
        if base is not None:
            return base / path[2:]
    return directory / path


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> str | None:
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


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


def _read_env_file(found: Found, names: Names, path: Path, chosen_by: str) -> None:
    import io

    from dotenv.parser import parse_stream

    origin = f"env file {path}"
    try:
        text, status = _read(path)
    except _Unusable as fault:
        found.faults.append(Fault(chosen_by, origin, fault.message, fault.mend))
        return
    found.files.append(path)
    field_of = names.field_of()
    said: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            line = binding.original.line
            found.faults.append(
                Fault(
                    chosen_by,
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
    found.faults.extend(_permission_faults(path, status, origin, secret=secret))


def _unknown(env_name: str, origin: str, field_of: Mapping[str, str]) -> Fault:
    bare = env_name.removeprefix(PREFIX)
    known = [*field_of, ENV_FILE, CONFIG_FILE]
    longer = [name for name in known if env_name.startswith(name + "_") or name.startswith(env_name + "_")]
    meant = bare if bare in field_of else longer[0] if len(longer) == 1 else did_you_mean(env_name, known)
    mend = f"did you mean {meant}?" if meant else "remove it; jobctl config show lists the names there are"
    return Fault(env_name, origin, f"{env_name} is not a setting", mend)


# Config file -------------------------------------------------------------------------------------------------------


def _read_config_file(found: Found, names: Names, path: Path, chosen_by: str) -> None:
    import tomllib

    origin = f"config file {path}"
    try:
        text, status = _read(path)
    except _Unusable as fault:
        found.faults.append(Fault(chosen_by, origin, fault.message, fault.mend))
        return
    found.files.append(path)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found.faults.append(
            Fault(chosen_by, origin, f"{path} is not TOML: {error}", 'write each line as name = "value"')
        )
        secret = any(name in text for name in names.secret)
        found.faults.extend(_permission_faults(path, status, origin, secret=secret))
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
    found.faults.extend(_permission_faults(path, status, origin, secret=secret))


def _holds_secrets(queue: object) -> bool:
    if not isinstance(queue, Mapping) or "endpoints" not in queue:
        return False
    from jobctl.settings_outside import holds_secrets

    return holds_secrets(cast(object, queue))


# Files -------------------------------------------------------------------------------------------------------------


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # removed under us: nothing relative can be meant
        return None


def _named(named: str | None, environ: Mapping[str, str], directory: Path | None) -> Path | None:
    return expand(named, environ, directory or Path("/")) if named else None


def _env_places(environ: Mapping[str, str], directory: Path | None) -> list[Path | None]:
    own = user_directory(environ, "XDG_CONFIG_HOME", ".config")
    return [directory and directory / "jobctl.env", own and own / "env", Path("/etc/jobctl/env")]


def _config_places(environ: Mapping[str, str], directory: Path | None) -> list[Path | None]:
    own = user_directory(environ, "XDG_CONFIG_HOME", ".config")
    return [directory and directory / "jobctl.toml", own and own / "jobctl.toml", Path("/etc/jobctl/jobctl.toml")]


def _first(found: Found, places: Iterable[Path | None], working_directory: Path | None) -> Path | None:
    for place in places:
        if place is None or not _exists(place):
            continue
        if place.parent == working_directory and _others_write(place.parent):
            found.notes.append(f"{place} was not read: others can write to its directory (name it to have it read)")
            continue
        return place
    return None


def _exists(path: Path) -> bool:
    """A file we may not even look for counts as absent; one that is there but unreadable is a fault later."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _others_write(directory: Path) -> bool:
    try:
        status = directory.stat()
    except OSError:
        return True
    return bool(status.st_mode & stat.S_IWOTH) or status.st_uid not in (0, os.geteuid())


def _read(path: Path) -> tuple[str, os.stat_result]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _Unusable(f"{path} does not exist", "create it or name another") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise _Unusable(f"{path} cannot be read: {reason}", "make it readable for the user who runs jobctl") from None
    try:
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) or os.path.samestat(status, Path(os.devnull).stat())):
            raise _Unusable(f"{path} is not a file", "name a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _Unusable(f"{path} cannot be read: {error.strerror}", "look at the file and its disk") from None
    finally:
        os.close(descriptor)
    if len(data) > LARGEST_FILE:
        raise _Unusable(f"{path} is larger than 1 MiB", "name a file of settings")
    try:
        return data.decode("utf-8-sig"), status
    except UnicodeDecodeError:
        raise _Unusable(f"{path} is not UTF-8 text", "save it as UTF-8") from None


def _permission_faults(path: Path, status: os.stat_result, origin: str, *, secret: bool) -> list[Fault]:
    if not stat.S_ISREG(status.st_mode):
        return []
    faults: list[Fault] = []
    mode = stat.S_IMODE(status.st_mode)
    user = os.geteuid()
    if status.st_uid not in (0, user):
        message = f"{path} belongs to another user (uid {status.st_uid})"
        faults.append(Fault(str(path), origin, message, f"chown {user} {_quoted(path)}"))
    if secret and mode & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"{path} holds a secret and is open to others (mode {mode:04o})"
        faults.append(Fault(str(path), origin, message, f"chmod 600 {_quoted(path)}"))
    elif mode & stat.S_IWOTH:
        faults.append(
            Fault(str(path), origin, f"{path} is writable by all (mode {mode:04o})", f"chmod o-w {_quoted(path)}")
        )
    return faults


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
