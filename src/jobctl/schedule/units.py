"""The plan as systemd units: a timer and a service for each job that is there, and one for the embedded server. Pure.

The service starts the same command line as the crontab. `Type=exec`, since RuntimeMaxSec does nothing for `oneshot`;
the limit stands above jobctl's own, which is to end the run with its last word said. KillMode=mixed asks the
supervisor alone to stop, which asks the worker; what is left after TimeoutStopSec is killed.

Whatever a service leaves running is killed when it ends. The embedded PostgreSQL is meant to stay, so it gets a service
of its own, which starts before the jobs; with DATABASE_URL that one does nothing.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from jobctl.durations import parse_duration
from jobctl.schedule.installed import TIMER_KEY
from jobctl.schedule.on_calendar import on_calendar
from jobctl.schedule.plan import JobSchedule
from jobctl.schedule.render import PATH, command_words, comment
from jobctl.schedule.target import Target

DATABASE = "jobctl-database.service"
# After its own limit jobctl cancels the query, asks, waits, kills, and writes the row; that takes less than this.
BEYOND_LIMIT_S = 60
MAX_RUNTIME = "--max-runtime"
PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
# What takes nothing from a job that speaks to PostgreSQL, GitHub and a mail server, and starts programs of its own.
# Not here, on purpose: MemoryDenyWriteExecute (PostgreSQL compiles queries), PrivateNetwork, SystemCallFilter.
HARDENING = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "RestrictSUIDSGID=yes",
    "RestrictRealtime=yes",
    "RestrictNamespaces=yes",
    "LockPersonality=yes",
    "CapabilityBoundingSet=",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "UMask=0077",
)


def units(plan: Sequence[JobSchedule], target: Target, commands: Collection[str]) -> Mapping[str, str]:
    """File name and text. A job whose command this version does not have gets none."""
    files = {DATABASE: _database(target)}
    for entry in plan:
        if entry.job in commands:
            files[f"jobctl-{entry.job}.service"] = _service(entry, target)
            files[f"jobctl-{entry.job}.timer"] = _timer(entry, target)
    return files


def max_runtime_s(entry: JobSchedule, target: Target) -> int:
    """What the command line says, else what the settings say. Raises ValueError for what is no duration."""
    words = [part for word in entry.options for part in word.split("=", 1 if word.startswith(MAX_RUNTIME) else 0)]
    if MAX_RUNTIME in words[:-1]:
        return parse_duration(words[words.index(MAX_RUNTIME) + 1])
    return target.max_runtime_of(entry.job)


def _timer(entry: JobSchedule, target: Target) -> str:
    return _unit(
        f"# Systemd reads the times in the zone of this machine, here {target.zone}. {entry.at.in_words()}.",
        *comment(entry.why),
        "[Unit]",
        f"Description=jobctl {entry.job}, by the clock",
        "",
        "[Timer]",
        *(f"OnCalendar={event}" for event in on_calendar(entry.at)),
        "# The expression that OnCalendar was made from; the slot ledger reads it.",
        f"{TIMER_KEY}={entry.at}",
        "AccuracySec=1s",
        "# A start that was missed while the machine was down is made up for at boot, once.",
        f"Persistent={'true' if entry.catch_up == 'latest' else 'false'}",
        "",
        "[Install]",
        "WantedBy=timers.target",
    )


def _service(entry: JobSchedule, target: Target) -> str:
    limit_s = max_runtime_s(entry, target)
    return _unit(
        "[Unit]",
        f"Description=jobctl {entry.job}",
        f"Wants=network-online.target {DATABASE}",
        f"After=network-online.target postgresql.service {DATABASE}",
        "",
        "[Service]",
        "Type=exec",
        *_common(target),
        f"ExecStart={_command(command_words(entry, target))}",
        "KillMode=mixed",
        f"TimeoutStopSec={target.kill_grace_s + BEYOND_LIMIT_S}",
        f"# Above the run's own limit of {limit_s} s, which ends it in good order.",
        f"RuntimeMaxSec={limit_s + target.kill_grace_s + BEYOND_LIMIT_S}",
        *_hardening(target),
    )


def _database(target: Target) -> str:
    return _unit(
        "# The embedded PostgreSQL, which outlives the runs that use it. With DATABASE_URL there is none to start.",
        "[Unit]",
        "Description=jobctl's embedded PostgreSQL",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *_common(target),
        f"ExecStart={_command((target.command, 'db', 'start'))}",
        f"ExecStop=-{_command((target.command, 'db', 'stop', '--force'))}",
        "TimeoutStopSec=120",
        *_hardening(target),
    )


def _common(target: Target) -> list[str]:
    variables = {"PATH": PATH, **target.variables()}
    return [
        f"User={target.os_user}",
        *(f"Environment={_word(f'{name}={value}', spared='$')}" for name, value in variables.items()),
    ]


def _hardening(target: Target) -> list[str]:
    """Paths with `-` may be absent: then it is jobctl that says so, in the log and the history."""
    paths = list(dict.fromkeys((target.log_dir, target.data_dir, *target.more_write_paths)))
    used = (target.command, target.env_file or "/", target.config_file or "/", *paths)
    in_home = any(path.startswith(("/home/", "/root/", "/run/user/")) for path in used)
    return [
        *HARDENING,
        f"ProtectHome={'no' if in_home else 'yes'}",
        "ReadWritePaths=" + " ".join(_word(f"-{path}", spared="$") for path in paths),
    ]


def _command(words: Sequence[str]) -> str:
    return " ".join(map(_word, words))


def _word(text: str, spared: str = "") -> str:
    """Quoted for a unit file: `%` and, on a command line alone, `$` stand for something there."""
    if not text.isprintable():
        raise ValueError(f"{text!r} has a character in it that a unit cannot carry")
    kept = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if "$" not in spared:
        kept = kept.replace("$", "$$")
    return kept if PLAIN.fullmatch(text) else f'"{kept}"'


def _unit(*lines: str) -> str:
    return "".join(line + "\n" for line in lines)
