"""Read and write the crontab of a user, through crontab(1), and our file in /etc/cron.d.

A crontab is checked after it was written, and what was there before is kept beside jobctl's data: nobody else has it.
"""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jobctl.errors import ConfigurationError
from jobctl.schedule.installed import CRONTAB, CRONTAB_LIMIT_S, ETC, current_user

CRON_D = "cron.d/jobctl"


def read(os_user: str, *, crontab: Sequence[str] = CRONTAB) -> str:
    """The user's crontab as it is, byte for byte; empty where there is none. Raises ConfigurationError."""
    done = _crontab([*_of(os_user, crontab), "-l"])
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "surrogateescape")
    if b"no crontab for" in done.stderr:
        return ""
    raise _refused(os_user, done.stderr)


def write(os_user: str, text: str, *, crontab: Sequence[str] = CRONTAB) -> None:
    """Replace the user's crontab, or remove it when nothing is left. Raises ConfigurationError when cron refuses it."""
    if text:
        done = _crontab([*_of(os_user, crontab), "-"], text.encode("utf-8", "surrogateescape"))
    else:
        done = _crontab([*_of(os_user, crontab), "-r"])
    if done.returncode != 0:
        raise _refused(os_user, done.stderr)
    if read(os_user, crontab=crontab) != text:
        raise ConfigurationError(
            f"the crontab of {os_user} is not what was written",
            hint="somebody else writes it, too: crontab -l",
        )


def read_cron_d(etc: Path = ETC) -> str:
    try:
        return (etc / CRON_D).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigurationError(f"{etc / CRON_D} cannot be read: {error.strerror}") from None


def write_cron_d(text: str, etc: Path = ETC) -> None:
    """Replace our file at once, or remove it; root's, 0644, as cron demands."""
    path = etc / CRON_D
    try:
        if not text:
            path.unlink(missing_ok=True)
            return
        # cron passes over names with a dot in them, so it never reads the half of it.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".jobctl.")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}",
            hint="only root may; without --cron-d it is your own",
        ) from None


def keep_backup(text: str, directory: Path, name: str, now: datetime) -> Path | None:
    """The old text as a file of its own, 0600; None where there was nothing."""
    if not text:
        return None
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{name}-{now:%Y%m%dT%H%M%S}.crontab"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    return path


def _of(os_user: str, crontab: Sequence[str]) -> list[str]:
    if os_user == current_user():
        return [*crontab]
    if os.geteuid() != 0:
        raise ConfigurationError(f"the crontab of {os_user} is not yours", hint=f"run it as {os_user}, or as root")
    return [*crontab, "-u", os_user]


def _crontab(command: Sequence[str], text: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            command, input=text if text is not None else b"", capture_output=True, timeout=CRONTAB_LIMIT_S, check=False
        )
    except FileNotFoundError:
        raise ConfigurationError(
            "there is no crontab command on this machine",
            hint="apt-get install cron, or use deploy/systemd",
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"crontab did not answer within {CRONTAB_LIMIT_S} s") from None


def _refused(os_user: str, said: bytes) -> ConfigurationError:
    words = " ".join(said.decode("utf-8", "replace").split()) or "without a word"
    hint = "see /etc/cron.allow and /etc/cron.deny" if "not allowed" in words else ""
    return ConfigurationError(f"crontab refused for {os_user}: {words}", hint=hint)
