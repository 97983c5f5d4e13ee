"""For which installation a schedule is written out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_MAX_RUNTIME_S = 540


@dataclass(frozen=True, slots=True)
class Target:
    """Where jobctl lies, whom its jobs run as, what they may write to. The defaults are those of docs/install.md.

    `env_file` and `config_file` are None where none is named. `zone` is the one cron reads times in."""

    command: str = "/opt/jobctl/.venv/bin/jobctl"
    env_file: str | None = "/etc/jobctl/env"
    config_file: str | None = None
    os_user: str = "jobctl"
    mailto: str = "jobctl"
    zone: str = "UTC"
    log_dir: str = "/var/log/jobctl"
    data_dir: str = "/var/lib/jobctl"
    more_write_paths: tuple[str, ...] = ()
    max_runtime_s: Mapping[str, int] = field(default_factory=dict[str, int])
    kill_grace_s: int = 10

    def __post_init__(self) -> None:
        """Raises ValueError for what no crontab and no unit can carry."""
        paths = {"command": self.command, "log directory": self.log_dir, "data directory": self.data_dir}
        paths |= {name: path for name, path in (("env file", self.env_file), ("config file", self.config_file)) if path}
        for name, path in paths.items():
            if not path.startswith("/"):
                raise ValueError(f"the {name} {path!r} is no absolute path, and cron starts in another directory")
        for text in (*paths.values(), *self.more_write_paths, self.os_user, self.mailto, self.zone):
            if not text.isprintable():
                raise ValueError(f"{text!r} has a character in it that a crontab cannot carry")

    def max_runtime_of(self, job: str) -> int:
        return self.max_runtime_s.get(job, DEFAULT_MAX_RUNTIME_S)

    def variables(self) -> dict[str, str]:
        """What each command finds in its environment, besides what cron or systemd gives by themselves."""
        named = {"JOBCTL_ENV_FILE": self.env_file, "JOBCTL_CONFIG": self.config_file}
        return {"TZ": self.zone, **{name: path for name, path in named.items() if path is not None}}
