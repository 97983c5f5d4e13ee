"""A start as cron makes it: which installed line it came from, which slot it answers for, and what is owed afterwards.

Brings the envelope (`runtime.expected`) and the schedule together, which do not know each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg

from jobctl import log
from jobctl.runtime.expected import Missed, Refusal
from jobctl.runtime.identity import Identity
from jobctl.runtime.outcome import COMPLETED, SKIPPED, CatchUp, ScopeReport
from jobctl.settings import Settings
from jobctl.settings_reading.fault import InvalidSettings

if TYPE_CHECKING:
    from jobctl.schedule.ledger import Start
    from jobctl.schedule.plan import Change
    from jobctl.schedule.registry import Line

LOG = log.get_logger()


class Expected:
    """The slot ledger for one start (`runtime.expected.Expectations`)."""

    def __init__(
        self, settings: Settings, identity: Identity, scope: str, now: datetime, *, is_scheduled: bool
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._scope = scope
        self._now = now
        self._is_scheduled = is_scheduled
        self._line: Line | None = None
        self._lines: list[Line] = []
        self.slot_at: datetime | None = None
        if is_scheduled:
            self._read_lines()

    def begin(self, conn: psycopg.Connection) -> Refusal | None:
        if not self._is_scheduled:  # by hand: only a pause can stand in its way, and what reads crontabs stays unloaded
            from jobctl.schedule import pauses

            return pauses.refusal(conn, self._identity.job, self._scope, self._now)
        from jobctl.schedule import ledger, registry

        registry.register(conn, self._identity.host, self._identity.os_user, self._lines, now=self._now)
        return ledger.begin(conn, self._start())

    def judge(self, conn: psycopg.Connection) -> Sequence[Missed]:
        from jobctl.schedule import registry

        if not registry.is_any_installed(conn):
            return ()
        from jobctl.schedule import ledger

        return ledger.judge(conn, host=self._identity.host, now=self._now)

    def end(self, conn: psycopg.Connection, scopes: Sequence[ScopeReport]) -> Sequence[CatchUp]:
        from jobctl.schedule import ledger

        start = self._start()
        if scopes and all(scope.status == SKIPPED for scope in scopes):
            ledger.locked(conn, start, "; ".join(note for scope in scopes for note in scope.notes))
        elif scopes and all(scope.status == COMPLETED for scope in scopes):
            covered = ledger.done(conn, start)
            if covered:
                LOG.info("slots_covered", slots=covered)
        if self._settings.slot is not None:
            return ()  # this is a catch-up itself; who started it goes on with the others
        found = ledger.owed(conn, host=self._identity.host, os_user=self._identity.os_user, now=self._now)
        return [CatchUp(owed.slot.job, owed.slot.scope, owed.slot.slot_at, owed.command) for owed in found]

    def _read_lines(self) -> None:
        from zoneinfo import ZoneInfo

        from jobctl.schedule import ledger
        from jobctl.schedule.expression import parse
        from jobctl.schedule.from_settings import changes_from
        from jobctl.schedule.installed import read_installed

        installed = [line for line in read_installed(self._identity.os_user) if line.is_scheduled]
        try:
            changes: Mapping[str, Change] = changes_from(self._settings)
        except InvalidSettings as error:
            # The line fired as it is installed; a slip in the plan of others is no reason not to run.
            LOG.warning("plan_not_read", error=error)
            changes = {}
        self._lines = ledger.lines_of(installed, self._identity.os_user, changes)
        ours = [line for line in self._lines if (line.job, line.scope) == (self._identity.job, self._scope)]
        if not ours:
            LOG.warning("line_not_found", reason="--scheduled was given, but no installed crontab has a line for it")
            return
        if self._settings.slot is not None:
            self.slot_at, self._line = self._settings.slot, ours[0]
            return
        latest = [(parse(line.expression).last_until(self._now, ZoneInfo(line.zone)), line) for line in ours]
        self.slot_at, self._line = max(latest, key=lambda pair: pair[0])

    def _start(self) -> Start:
        from jobctl.schedule.ledger import Start

        return Start(
            job=self._identity.job,
            scope=self._scope,
            run_id=self._identity.run_id,
            host=self._identity.host,
            os_user=self._identity.os_user,
            now=self._now,
            line=self._line,
            slot_at=self.slot_at,
        )


def start_catch_ups(owed: Sequence[CatchUp]) -> None:
    """Start each line's own command once more, one after the other, as cron would, for the slot that was missed."""
    import subprocess

    for each in owed:
        LOG.info("catch_up_started", slot_job=each.job, slot_scope=each.scope, slot_at=each.slot_at.isoformat())
        with_slot = ["/usr/bin/env", f"JOBCTL_SLOT={each.slot_at.isoformat()}", "/bin/sh", "-c", each.command]
        try:
            ended = subprocess.run(with_slot, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            LOG.error("catch_up_failed", error=error)  # noqa: TRY400 - one line, no stack
        else:
            LOG.info("catch_up_ended", slot_job=each.job, exit_code=ended.returncode)
