"""A crontab in which our block stands or shall stand: a user's own, or /etc/cron.d/jobctl."""

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from jobctl import clock
from jobctl.cli.session import current_settings, database_if_reachable, os_user
from jobctl.errors import ConfigurationError
from jobctl.schedule import block, crontab_file, installed, units
from jobctl.schedule.plan import PLAN
from jobctl.schedule.render import crontab_body
from jobctl.schedule.target import Target

if TYPE_CHECKING:
    from jobctl.cli.command_shapes import CommandShape
    from jobctl.settings import Settings

T = TypeVar("T")

SUBJECTS = ("program", "settings", "environment", "cron", "crontab")


@dataclass(frozen=True, slots=True)
class CrontabPlace:
    """`text` is the whole crontab as it was read; `user` whom the lines run as."""

    name: str
    user: str
    is_cron_d: bool
    text: str
    settings: "Settings"
    shapes: Mapping[str, "CommandShape"]

    @classmethod
    def find(cls, user: str | None, *, cron_d: bool, shapes: Mapping[str, "CommandShape"]) -> Self:
        settings = current_settings()
        if cron_d:
            account = settings.run_as_user
            return cls("/etc/cron.d/jobctl", account, True, crontab_file.read_cron_d(), settings, shapes)
        whose = user or os_user()
        return cls(f"the crontab of {whose}", whose, False, crontab_file.read(whose), settings, shapes)

    def wanted(self) -> str:
        """The whole text with the plan's block."""
        from jobctl.schedule.from_settings import planned_from

        body = crontab_body(planned_from(self.settings), self._target(), self.shapes, with_user=self.is_cron_d)
        return self._in_words(lambda: block.sealed(body) if self.is_cron_d else block.install(self.text, body))

    def without(self) -> str:
        return "" if self.is_cron_d else self._in_words(lambda: block.remove(self.text))

    def require_unedited(self, *, force: bool) -> None:
        """Raises ConfigurationError where somebody changed our block by hand."""
        found = None if force else self._in_words(lambda: block.find(self.text))
        if found is not None and found.is_edited:
            raise ConfigurationError(
                f"the block in {self.name} was edited by hand",
                hint="see jobctl schedule diff; carry the change into jobctl.toml, or replace it with --force",
            )

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
            ledger.register(conn, expected, host=socket.gethostname(), os_user=self.user, now=clock.utc_now())

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
            *(
                {"check": each.check, "status": each.status, "what": each.what, "why": each.why, "mend": each.mend}
                for each in others
                if each.status != "skipped"
            ),
        ]

    def _target(self) -> Target:
        from jobctl.settings import load

        files = [str(path) for path in load().files]
        env_file = next((path for path in files if not path.endswith(".toml")), None)
        config_file = next((path for path in files if path.endswith(".toml")), None)
        log_file = self.settings.log_file
        return Target(
            command=str(Path(sys.executable).with_name("jobctl")),
            env_file=env_file,
            config_file=config_file,
            os_user=self.user,
            mailto=self.user,
            zone=installed.cron_zone(),
            log_dir=str(log_file.parent) if log_file is not None and log_file.is_absolute() else "/var/log/jobctl",
            data_dir=str(self.settings.data_dir),
        )

    def _in_words(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except block.BlockError as error:
            raise ConfigurationError(f"{self.name}: {error}", hint="mend its marks by hand: crontab -e") from None


def deployed_files(commands: Collection[str]) -> Mapping[str, str]:
    """What `deploy/` has of the default plan and installation: the crontab and the units."""
    from jobctl.db.grants import script

    target = Target()
    files = {"crontab": block.sealed(crontab_body(PLAN, target, commands))}
    files |= {f"systemd/{name}": text for name, text in units.units(PLAN, target, commands).items()}
    files["grants.sql"] = script(owner="jobctl_owner", worker="jobctl_worker", reader="jobctl_reader")
    return files
