"""The crontabs of this machine in which something of jobctl stands, as texts, and what they set for its lines."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobctl.schedule.command_line import jobctl_words
from jobctl.schedule.crontab_text import Crontab, Entry, read_crontab
from jobctl.schedule.installed import ETC, system_crontabs, user_crontab

LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class CrontabFile:
    """`path` is None for a user's own crontab, which crontab(1) alone reads."""

    source: str
    text: str
    path: Path | None

    @property
    def crontab(self) -> Crontab:
        return read_crontab(self.text, is_system=self.path is not None)

    def entries_of_ours(self) -> list[Entry]:
        return [entry for entry in self.crontab.entries if jobctl_words(entry.program) is not None]


def installed_crontabs(os_user: str, *, etc: Path = ETC) -> list[CrontabFile]:
    """The user's crontab and the system's, as far as they can be read and have a line of ours."""
    text = user_crontab(os_user)
    files = [CrontabFile(f"the crontab of {os_user}", text, None)] if text else []
    for path in system_crontabs(etc):
        try:
            with path.open("rb") as file:
                files.append(CrontabFile(str(path), file.read(LARGEST_FILE).decode("utf-8", "replace"), path))
        except OSError:
            continue  # an ordinary user need not see it
    return [each for each in files if each.entries_of_ours()]


def environment_of_ours(files: Iterable[CrontabFile], os_user: str) -> Mapping[str, str]:
    """What a crontab sets for the user's first line of ours."""
    for file in files:
        for entry in file.entries_of_ours():
            if entry.user in (None, os_user):
                return file.crontab.environment_of(entry)
    return {}
