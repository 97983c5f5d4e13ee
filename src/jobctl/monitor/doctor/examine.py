"""All checks, made at once and each within its time: one that breaks or hangs is a finding and ends no other.

Checks that share something slow stand in one lane and are made one after the other by one thread: those that ask the
database share its connection. The lanes run side by side. A lane that is not done in its time is left behind: its
thread is a daemon's and ends with the process.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from jobctl.clock import monotonic
from jobctl.monitor.doctor import (
    configuration,
    cron,
    crontab,
    database,
    disk,
    embedded_use,
    environment,
    files,
    outgoing,
    program,
    runs,
    zones,
)
from jobctl.monitor.doctor.finding import SUBJECTS, Finding, NotAsked, failed, skipped
from jobctl.monitor.doctor.situation import Situation

LIMIT_S = 8.0
NETWORK_LIMIT_S = 4.0
TEST_LIMIT_S = 8.0


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is what is told where the check itself says nothing; `subject.name`."""

    name: str
    make: Callable[[Situation], Iterable[Finding]]

    @property
    def subject(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Lane:
    checks: tuple[Check, ...]
    limit_s: float = LIMIT_S


LOCAL = (
    Check("program.python", program.check_python),
    Check("program.readable", program.check_readable),
    Check("program.owner", program.check_owners),
    Check("program.bytecode", program.check_bytecode),
    Check("settings.faults", configuration.check_faults),
    Check("settings.passed_over", configuration.check_notes),
    Check("zones.shell", zones.check_shell),
    Check("zones.alerts", zones.check_alerts),
    Check("zones.clock_changes", zones.check_clock_changes),
    Check("files.settings", files.check_settings_files),
    Check("files.log", files.check_log),
    Check("files.data", files.check_data),
    Check("files.archive", files.check_archive),
    Check("cron.alive", cron.check_alive),
    Check("cron.zone", cron.check_zone),
    *(Check(*each) for each in crontab.CHECKS),
)
# A network file system that does not answer hangs whoever looks at it.
ON_DISK = (
    Check("disk.space", disk.check_space),
    Check("embedded.file_system", embedded_use.check_file_system),
    Check("runs.spool", runs.check_spool),
)
IN_DATABASE = (
    Check("database.reachable", database.check_reachable),
    Check("database.schema", database.check_schema),
    Check("database.server", database.check_standing),
    Check("database.privileges", database.check_privileges),
    Check("database.pooler", database.check_pooler),
    Check("database.clock", database.check_clock),
    Check("database.connections", database.check_connections),
    Check("database.oldest_transaction", database.check_oldest),
    Check("zones.database", zones.check_database),
    Check("embedded.one_host", embedded_use.check_places),
    Check("runs.dead", runs.check_dead),
    Check("runs.outbox", runs.check_unsent),
    Check("runs.demo", runs.check_demo),
)
OUTGOING = (
    Check("outgoing.mail", outgoing.check_mail),
    Check("outgoing.slack", outgoing.check_slack),
    Check("outgoing.heartbeat", outgoing.check_heartbeats),
)


def lanes(*, sends_test: bool) -> tuple[Lane, ...]:
    limit_s = TEST_LIMIT_S if sends_test else NETWORK_LIMIT_S
    return (
        Lane(LOCAL),
        Lane((Check("environment.start", environment.check_night),)),
        Lane(ON_DISK),
        Lane(IN_DATABASE),
        *(Lane((each,), limit_s) for each in OUTGOING),
    )


def examine(
    situation: Situation,
    redact: Callable[[str], str],
    *,
    only: Sequence[str] = (),
    of: Sequence[Lane] | None = None,
) -> list[Finding]:
    """Every finding, by subject, its texts without secrets. `only` are the subjects that are asked for."""
    chosen = of if of is not None else lanes(sends_test=situation.sends_test)
    asked = [lane for lane in (_narrowed(each, only) for each in chosen) if lane.checks]
    under_way = [_Walk(lane, situation, asking=lane.checks[0].name) for lane in asked]
    for walk in under_way:
        walk.start()
    found = [finding for walk in under_way for finding in walk.findings()]
    order = {subject: number for number, subject in enumerate(SUBJECTS)}
    found.sort(key=lambda finding: order[finding.subject])
    return [_clean(each, redact) for each in found]


def _clean(finding: Finding, redact: Callable[[str], str]) -> Finding:
    """Without secrets, each text on one line: some quote what others said."""
    what, why, mend = (" ".join(redact(text).split()) for text in (finding.what, finding.why, finding.mend))
    return replace(finding, what=what, why=why, mend=mend)


def _narrowed(lane: Lane, only: Sequence[str]) -> Lane:
    return replace(lane, checks=tuple(each for each in lane.checks if not only or each.subject in only))


@dataclass
class _Walk:
    """A lane under way."""

    lane: Lane
    situation: Situation
    made: list[Finding] = field(default_factory=list[Finding])
    asking: str = ""
    until: float = 0.0
    thread: threading.Thread | None = None

    def start(self) -> None:
        self.until = monotonic() + self.lane.limit_s
        self.thread = threading.Thread(target=self._go, name="doctor", daemon=True)
        self.thread.start()

    def findings(self) -> list[Finding]:
        """All of them, after the end or the limit."""
        assert self.thread is not None
        self.thread.join(max(0.0, self.until - monotonic()))
        found = list(self.made)
        if self.thread.is_alive():
            found.append(_late(self.asking, self.lane.limit_s))
        return found

    def _go(self) -> None:
        for check in self.lane.checks:
            self.asking = check.name
            self.made.extend(_made(check, self.situation))


def _made(check: Check, situation: Situation) -> Iterator[Finding]:
    try:
        yield from check.make(situation)
    except NotAsked as reason:
        yield skipped(check.name, str(reason))
    except Exception as error:  # noqa: BLE001 - whatever breaks a check is what it found
        yield _broken(check.name, error)


def _broken(name: str, error: Exception) -> Finding:
    text = f"{type(error).__name__}: {error}"
    return failed(
        name,
        f"the check broke: {text[:300]}",
        why="what it looks for is not known",
        mend=f"jobctl doctor --only {name.partition('.')[0]} -v, as root too",
    )


def _late(name: str, limit_s: float) -> Finding:
    return failed(
        name,
        f"no answer within {limit_s:g} s, and what comes after it was not asked",
        why="a run at night would hang at the same place",
        mend=f"jobctl doctor --only {name.partition('.')[0]}",
    )
