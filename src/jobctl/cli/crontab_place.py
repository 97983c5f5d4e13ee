"""A crontab in which our block stands or shall stand: a user's own, or /etc/cron.d/jobctl."""

import pwd
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar
from zoneinfo import ZoneInfo

from jobctl import clock
from jobctl.accounts import current_user
from jobctl.cli.session import current_settings, database_if_reachable
from jobctl.errors import ConfigurationError, UsageError
from jobctl.schedule import block, crontab_file, installed, registry, units
from jobctl.schedule.crontab_text import read_crontab
from jobctl.schedule.plan import PLAN
from jobctl.schedule.render import crontab_body
from jobctl.schedule.target import Target

if TYPE_CHECKING:
    from jobctl.cli.command_shapes import CommandShape
    from jobctl.settings import Settings

T = TypeVar("T")

CRON_D = "/etc/cron.d/jobctl"
SUBJECTS = ("program", "settings", "environment", "cron", "crontab")


@dataclass(frozen=True, slots=True)
class NextStart:
    """A line that cron will see, and when it starts next."""

    job: str
    words: str
    at: datetime
    zone: str

    def as_json(self) -> dict[str, object]:
        return {"job": self.job, "words": self.words, "next_at": self.at, "zone": self.zone}


@dataclass(frozen=True, slots=True)
class CrontabPlace:
    """`text` is the whole crontab as it was read; `user` whom the lines run as; `mailto` None as it was, else who."""

    name: str
    user: str
    is_cron_d: bool
    text: str
    settings: "Settings"
    shapes: Mapping[str, "CommandShape"]
    mailto: str | None = None

    @classmethod
    def find(
        cls, user: str | None, *, cron_d: bool, shapes: Mapping[str, "CommandShape"], mailto: str | None = None
    ) -> Self:
        settings = current_settings()
        if cron_d:
            account = settings.run_as_user
            return cls(CRON_D, account, True, crontab_file.read_cron_d(), settings, shapes, mailto)
        whose = user or current_user()
        return cls(f"the crontab of {whose}", whose, False, crontab_file.read(whose), settings, shapes, mailto)

    def wanted(self) -> str:
        """The whole text with the plan's block."""
        from jobctl.schedule.from_settings import planned_from

        plan = planned_from(self.settings)

        def text() -> str:
            body = crontab_body(plan, self._target(), self.shapes, with_user=self.is_cron_d)
            return block.sealed(body) if self.is_cron_d else block.install(self.text, body)

        return self._in_words(text)

    def without(self) -> str:
        return "" if self.is_cron_d else self._in_words(lambda: block.remove(self.text))

    def is_edited(self) -> bool:
        """Whether what is ours was changed by hand. The file in cron.d is ours as a whole."""
        if not self.is_cron_d:
            found = self._in_words(lambda: block.find(self.text))
            return found is not None and found.is_edited
        try:
            found = block.find(self.text)
        except block.BlockError:
            return True
        if found is None:
            return bool(self.text)
        return found.is_edited or (found.start, found.end) != (0, len(self.text))

    def require_unedited(self, *, force: bool) -> None:
        """Raises ConfigurationError where somebody changed by hand what is ours."""
        if not force and self.is_edited():
            raise ConfigurationError(
                f"what jobctl has in {self.name} was edited by hand",
                hint="see jobctl schedule diff; carry the change into jobctl.toml, or replace it with --force",
            )

    def require_account(self) -> None:
        """Raises UsageError where cron would find no such user, and pass over the whole file."""
        try:
            pwd.getpwnam(self.user)
        except KeyError:
            raise UsageError(
                f"there is no user {self.user!r} on this machine for the lines to run as",
                hint="make it (docs/install.md), or name another: JOBCTL_RUN_AS_USER",
            ) from None

    def next_starts(self) -> list[NextStart]:
        """The lines that are there when the plan is installed."""
        from jobctl.schedule.from_settings import planned_from

        zone, now = installed.cron_zone(), clock.utc_now()
        return [
            NextStart(entry.job, entry.at.in_words(), entry.at.next_after(now, ZoneInfo(zone)), zone)
            for entry in planned_from(self.settings)
            if entry.job in self.shapes
        ]

    def write(self, text: str) -> Path | None:
        """Where the text before it is kept; nothing is written when nothing changes."""
        if text == self.text:
            return None
        name = "cron.d" if self.is_cron_d else self.user
        kept = crontab_file.keep_backup(self.text, self.settings.data_dir / "crontabs", name, clock.utc_now())
        if self.is_cron_d:
            crontab_file.write_cron_d(text)
        else:
            crontab_file.write(self.user, text)
        return kept

    def register(self) -> None:
        """Tell the slot ledger now what it would find out at the next scheduled start; without a database it does."""
        import socket

        from jobctl.schedule import ledger
        from jobctl.schedule.from_settings import changes_from

        database = database_if_reachable(self.settings)
        if database is None:
            return
        lines = [line for line in installed.read_installed(self.user) if line.is_scheduled]
        expected = ledger.lines_of(lines, self.user, changes_from(self.settings))
        with database.connect() as conn:
            registry.register(conn, socket.gethostname(), self.user, expected, now=clock.utc_now())

    def findings(self) -> list[dict[str, str]]:
        """What stands between the crontab and a run that cron starts tonight."""
        from jobctl.cli.session import redactor
        from jobctl.monitor.doctor.examine import examine
        from jobctl.monitor.doctor.situation import look_around

        is_equal = self.wanted() == self.text
        equal = {
            "check": "crontab.equal",
            "status": "ok" if is_equal else "failed",
            "what": f"{self.name} has the plan's lines" if is_equal else f"{self.name} differs from the plan",
            "why": "" if is_equal else "what runs at night is not what was meant",
            "mend": "" if is_equal else "jobctl schedule diff shows it, jobctl schedule install mends it",
        }
        situation = look_around(user=self.user, sends_test=False, commands=self.shapes)
        try:
            others = examine(situation, redactor().text, only=SUBJECTS)
        finally:
            situation.link.close()
        return [
            equal,
            *self._twice(),
            *(
                {"check": each.check, "status": each.status, "what": each.what, "why": each.why, "mend": each.mend}
                for each in others
                if each.status != "skipped"
            ),
        ]

    def _twice(self) -> list[dict[str, str]]:
        """A finding for jobs that also stand elsewhere for the same user."""
        source = self.name if self.is_cron_d else "crontab"
        others = {line.source for line in installed.read_installed(self.user) if line.job in self.shapes} - {source}
        if not others or not self.text:
            return []
        return [
            {
                "check": "crontab.once",
                "status": "warning",
                "what": f"lines of jobctl stand in {', '.join(sorted(others))} too",
                "why": "what stands in both is started twice; with --scheduled one of the two starts is a skip",
                "mend": "take one away: jobctl schedule remove [--cron-d], or systemctl disable --now the timer",
            }
        ]

    def _target(self) -> Target:
        """Raises ValueError for what no crontab can carry."""
        from jobctl.settings_reading.load import load

        loaded = load()
        log_file = self.settings.log_file
        command = Path(sys.executable).with_name("jobctl")
        if not command.is_file():
            raise ValueError(f"there is no {command} for cron to start")
        return Target(
            command=str(command),
            env_file=str(loaded.env_file.absolute()) if loaded.env_file is not None else None,
            config_file=str(loaded.config_file.absolute()) if loaded.config_file is not None else None,
            os_user=self.user,
            mailto=self.user if (mailto := self._mailto()) is None else mailto,
            zone=installed.cron_zone(),
            log_dir=str(log_file.parent) if log_file is not None and log_file.is_absolute() else "/var/log/jobctl",
            data_dir=str(self.settings.data_dir),
        )

    def _mailto(self) -> str | None:
        """The address given, else that of the block that is there, so that it need be given but once."""
        if self.mailto is not None:
            return self.mailto
        try:
            found = block.find(self.text)
        except block.BlockError:
            return None
        lines = read_crontab(found.body, is_system=self.is_cron_d).assignments if found is not None else ()
        return next((line.value for line in reversed(lines) if line.name == "MAILTO"), None)

    def _in_words(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except block.BlockError as error:
            hint = "mend its marks by hand: crontab -e; nothing was changed"
            raise ConfigurationError(f"{self.name}: {error}", hint=hint) from None
        except ValueError as error:
            raise ConfigurationError(f"{self.name}: {error}", hint="nothing was changed") from None


def deployed_files(commands: Collection[str]) -> Mapping[str, str]:
    """What `deploy/` has of the default plan and installation: the crontab and the units."""
    from jobctl.db.grants import script

    target = Target()
    files = {"crontab": block.sealed(crontab_body(PLAN, target, commands))}
    files |= {f"systemd/{name}": text for name, text in units.units(PLAN, target, commands).items()}
    files["grants.sql"] = script(owner="jobctl_owner", worker="jobctl_worker", reader="jobctl_reader")
    return files
