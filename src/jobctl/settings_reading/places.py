"""Where files of settings are looked for.

**Env file**, the first that exists: the file JOBCTL_ENV_FILE names, `./jobctl.env`, `~/.config/jobctl/env` (or
below XDG_CONFIG_HOME), `/etc/jobctl/env`. **Config file**, likewise: the file JOBCTL_CONFIG names, `./jobctl.toml`,
`~/.config/jobctl/jobctl.toml`, `/etc/jobctl/jobctl.toml`. One of each is read, never several. Cron starts in the home
directory with almost no environment, so a crontab names the file in a line of its own
(`JOBCTL_ENV_FILE=/etc/jobctl/env`) or the file lies in one of the two fixed places. A plain `.env` is never read
unnamed, because in a strange directory it is somebody else's and its DATABASE_URL another database; the two files of
the working directory are passed over when others can write to that directory. `jobctl config show` tells what was.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

ENV_FILE = "JOBCTL_ENV_FILE"
CONFIG_FILE = "JOBCTL_CONFIG"


def env_file_of(environ: Mapping[str, str], directory: Path | None, notes: list[str]) -> Path | None:
    """`directory` is the working one; what was passed over is added to `notes`."""
    if named := environ.get(ENV_FILE):
        return expand(named, environ, directory or Path("/"))
    own = user_directory(environ, "XDG_CONFIG_HOME", ".config")
    return _first(
        [directory and directory / "jobctl.env", own and own / "env", Path("/etc/jobctl/env")], directory, notes
    )


def config_file_of(environ: Mapping[str, str], directory: Path | None, notes: list[str]) -> Path | None:
    """The same for `jobctl.toml`."""
    if named := environ.get(CONFIG_FILE):
        return expand(named, environ, directory or Path("/"))
    own = user_directory(environ, "XDG_CONFIG_HOME", ".config")
    places = [directory and directory / "jobctl.toml", own and own / "jobctl.toml", Path("/etc/jobctl/jobctl.toml")]
    return _first(places, directory, notes)


def working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # removed under us: nothing relative can be meant
        return None


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


def _first(places: Iterable[Path | None], directory: Path | None, notes: list[str]) -> Path | None:
    for place in places:
        if place is None or not _exists(place):
            continue
        if place.parent == directory and _others_write(place.parent):
            notes.append(f"{place} was not read: others can write to its directory (name it to have it read)")
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
