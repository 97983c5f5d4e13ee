"""A command as an ordinary user starts it, with an environment that is all in the call."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench_postgres import is_root, run_as_user

BARE = {"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
# For root: the account of the test servers, which owns nothing else. It may read what only root can reach, since Python
# itself may be there; writing is left to the modes of files, as for anybody.
DROP = (
    *("setpriv", "--reuid", run_as_user(), "--regid", "nogroup", "--clear-groups"),
    *("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"),
    *("--bounding-set", "-all,+dac_read_search"),
)


def as_ordinary_user(command: Sequence[str], home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs it in `home`, which has to be theirs, under cron's variables and those given."""
    variables: Mapping[str, str] = {**BARE, "HOME": str(home), **environment}
    return subprocess.run(
        [
            *(DROP if is_root() else ()),
            "env",
            "-i",
            *(f"{name}={value}" for name, value in variables.items()),
            *command,
        ],
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def give_to_ordinary_user(path: Path) -> Path:
    if is_root():
        import pwd

        user = pwd.getpwnam(run_as_user())
        os.chown(path, user.pw_uid, user.pw_gid)
    return path
