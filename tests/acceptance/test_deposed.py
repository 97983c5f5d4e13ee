"""A run that lost its lock without noticing writes nothing after its successor began.

The deposed run sits behind a proxy, which stops it at an exact point of its conversation and keeps its heartbeat from
telling it anything: only the fence stands between it and the tables. Triggers note who writes what and when. The same
stories told of a copy of the code without the fence must end in violations, or these tests prove nothing.
"""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from collections.abc import Generator
from pathlib import Path

import pytest
from bench_postgres import wait_for
from bench_runs import SHORT_LIMITS, Base, Ended, NewBase, NewRunner, Runner, Started, is_stopped, mutated, size
from bench_source import Source, State, differences, violations
from bench_wire import Gate, Link, Proxy, statement

Ledger = Callable[[str], None]

BATCH = ("--batch-size", "10")

AUDIT = """
CREATE SCHEMA bench;
CREATE TABLE bench.writes (no bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT pg_catalog.clock_timestamp(),
    place text, session text DEFAULT pg_catalog.current_setting('application_name'));
CREATE FUNCTION bench.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bench.writes (place) VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON core.items FOR EACH ROW EXECUTE FUNCTION bench.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON branch.rejects FOR EACH ROW EXECUTE FUNCTION bench.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON queue.tasks FOR EACH ROW EXECUTE FUNCTION bench.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON ops.checkpoints FOR EACH ROW EXECUTE FUNCTION bench.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON ops.sync_events FOR EACH ROW EXECUTE FUNCTION bench.note();
"""

# What the deposed run wrote after the rival's first write. The rival's own notes about the dead run come before its work.
LATE_WRITES = """
SELECT w.place, count(*) FROM bench.writes AS w
WHERE w.session LIKE %s AND w.at > (SELECT min(r.at) FROM bench.writes AS r WHERE r.session LIKE %s)
GROUP BY w.place ORDER BY w.place
"""


class Story:
    """A run behind a proxy that a rival overtakes. `point` says of which message of the writer the run is stopped at."""

    def __init__(self, base: Base, proxy: Proxy, runner: Runner, point: Callable[[Link, bytes, bytes], bool]) -> None:
        self.base = base
        self.runner = runner
        self.gate = Gate()  # where the writer's message waits
        self.deaf = threading.Event()  # from then on the heartbeat hears nothing
        self.hearing = threading.Event()
        self._point = point
        self._lock = threading.Lock()
        proxy.from_client = self._from_client
        proxy.from_server = self._from_server
        self._proxy = proxy

    def begin(self) -> Started:
        base = self.base
        base.conn.execute(AUDIT.encode())
        self.deposed = self.runner.start(*BATCH, url=self._proxy.url)
        self.gate.arrive()
        self.deaf.set()
        return self.deposed

    def overtake(self) -> Started:
        """A rival that works, started as often as it takes until the first one's lease is over."""
        for _ in range(30):
            rival = self.runner.start(*BATCH)
            ended = rival.wait()
            assert ended.exit_code == 0, ended.said
            status = self.base.one("SELECT status FROM ops.job_history WHERE correlation_id = %s", rival.correlation_id)
            if status == "completed":
                self.rival = rival
                return rival
            assert status == "skipped", status
            time.sleep(0.2)
        raise AssertionError("no rival came to work within the lease and some")

    def resume(self) -> Ended:
        """Let the deposed run's message through and see it end."""
        self.gate.open()
        wait_for(lambda: not self.deposed.is_alive or self._writer_is_done(), 30)
        self.hearing.set()
        ended = self.deposed.wait()
        self.deposed.wait_for_all()
        return ended

    def late_writes(self) -> list[object]:
        return self.base.all(
            LATE_WRITES, f"jobctl:ingest-branch:{self.deposed.correlation_id}%", f"jobctl:ingest-branch:{self.rival.correlation_id}%"
        )

    def row(self) -> tuple[str, int, str]:
        rows = self.base.all(
            "SELECT status, exit_code, error_class FROM ops.job_history WHERE correlation_id = %s", self.deposed.correlation_id
        )
        assert len(rows) == 1, rows
        return rows[0]

    def _writer_is_done(self) -> bool:
        """The writer went on as far as it would: to its next answered statement, or to its end."""
        return self._after_gate.is_set()

    _after_gate: threading.Event

    def _from_client(self, link: Link, kind: bytes, body: bytes) -> bool:
        if link.purpose == "write" and self._point(link, kind, body):
            self._after_gate = threading.Event()
            self.gate.wait()
            self._resumed = link
        return True

    def _from_server(self, link: Link, kind: bytes, body: bytes) -> bool:
        if link.purpose == "beat" and self.deaf.is_set():
            self.hearing.wait(30)
        return True
