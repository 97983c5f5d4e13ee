"""The command as a person starts it on a wide terminal's width, in a home of the test's own, until it ends."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def environment_of(database_url: str, home: Path, **settings: str) -> dict[str, str]:
    """No more than it needs: nothing of the one that the tests run in."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DATABASE_URL": database_url,
        "JOBCTL_DATA_DIR": str(home / "data"),
        "COLUMNS": "200",
        **settings,
    }


def command(environment: Mapping[str, str], *first: str) -> Command:
    """`jobctl FIRST... words`, which has to end with `code`. An empty setting is none."""

    def run(
        *words: object, code: int = 0, stdin: str | bytes = b"", **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "jobctl", *first, *map(str, words)],
            env={name: value for name, value in {**environment, **settings}.items() if value},
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            check=False,
            timeout=240,
        )
        told = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert told.returncode == code, told
        assert "Traceback" not in told.stderr, told.stderr
        return told

    return run
