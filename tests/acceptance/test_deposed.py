"""A run that lost its lock without noticing writes nothing after its successor began.

The deposed run sits behind a proxy, which stops it at an exact point of its conversation and keeps its heartbeat from
telling it anything: only the fence stands between it and the tables. Triggers note who writes what and when. The same
stories told of a copy of the code without the fence must end in violations, or these tests prove nothing.
"""

import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench_postgres import wait_for
from bench_runs import SHORT_LIMITS, Base, Ended, NewRunner, Runner, Started, is_stopped, mutated, size
from bench_source import Source, violations
from bench_wire import Link, Proxy, statement

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

# What the deposed run wrote after the rival's first write. A session's name tells whose it is.
LATE_WRITES = """
SELECT w.place, count(*)::int FROM bench.writes AS w
WHERE w.session LIKE %s AND w.at > (SELECT min(r.at) FROM bench.writes AS r WHERE r.session LIKE %s)
GROUP BY w.place ORDER BY w.place
"""
ROW = "SELECT status, exit_code FROM ops.job_history WHERE correlation_id = %s"
GUARD_OF = "SELECT guard_backend_pid FROM ops.job_history WHERE correlation_id = %s AND status = 'running'"

COPY_DONE, TERMINATE = b"c", b"X"

Point = Callable[[Link, bytes, bytes], bool]

# Where the writer is stopped: between two transactions, in one with all its work done, and in the middle of a COPY,
# which the server waits for without any limit of a statement or of an idle transaction.
POINTS: dict[str, Point] = {
    "before_a_transaction": lambda link, kind, body: statement(kind, body).startswith("BEGIN") and link.begins == 2,
    "before_a_commit": lambda link, kind, body: statement(kind, body).startswith("COMMIT") and link.commits == 2,
    "in_a_copy": lambda link, kind, body: kind == COPY_DONE and link.begins == 2,
}


class Story:
    """A run behind a proxy, which stops at a point and is overtaken by a rival that goes straight to the server."""

    def __init__(self, base: Base, proxy: Proxy, runner: Runner, point: Point, *, deaf_for_good: bool = False) -> None:
        self.base, self.runner = base, runner
        self.gate = proxy.gate()
        self._point = point
        self._deaf = threading.Event()
        self._hearing = proxy.gate()
        self._deaf_for_good = deaf_for_good
        self._proxy = proxy
        self._held = threading.Lock()
        proxy.from_client = self._from_client
        proxy.from_server = self._from_server

    def begin(self, settings: Mapping[str, str] | None = None) -> Started:
        """The run to be deposed, up to the point. From there on its heartbeat hears nothing."""
        self.base.conn.execute(AUDIT.encode())
        self.deposed = self.runner.start(*BATCH, url=self._proxy.url, settings=settings)
        self.gate.arrive()
        self._deaf.set()
        return self.deposed

    def overtake(self) -> Started:
        """A rival that works. It is started as cron would, again and again, until the lease of the first is over."""
        for _ in range(30):
            self.rival = self.runner.start(*BATCH)
            ended = self.rival.wait()
            assert ended.exit_code == 0, ended.said
            status, _ = self.base.all(ROW, self.rival.correlation_id)[0]
            if status == "completed":
                return self.rival
            assert status == "skipped", status
            time.sleep(0.2)
        raise AssertionError("no rival came to work within the lease and some")

    def resume(self) -> Ended:
        self.gate.open()
        ended = self.deposed.wait()
        self.deposed.wait_for_all()
        return ended

    def late_writes(self) -> list[tuple[str, int]]:
        return self.base.all(LATE_WRITES, f"%:{self.deposed.correlation_id}/%", f"%:{self.rival.correlation_id}/%")

    def _from_client(self, link: Link, kind: bytes, body: bytes) -> bool:
        if link.purpose == "write":
            if self._point(link, kind, body) and self._held.acquire(blocking=False):
                self.gate.wait()
            elif kind == TERMINATE and self.gate.reached.is_set() and not self._deaf_for_good:
                self._hearing.open()
        return True

    def _from_server(self, link: Link, kind: bytes, body: bytes) -> bool:
        if link.purpose == "beat" and self._deaf.is_set():
            self._hearing.wait()
        return True


def _half_ingested(base: Base, runner: Runner) -> Source:
    """Known records that changed, some of them for the worse, some withdrawn, and new ones: six batches of work."""
    source = Source([base.conn], count=40).create()
    runner.succeed(*BATCH)
    source.write({n: n % 10 in (3, 7) for n in range(40) if n % 10 < 8} | dict.fromkeys(range(40, 56), False))
    source.withdraw([8, 18, 28])
    return source


def _ends_well(story: Story, source: Source) -> None:
    source.settle()
    for _ in range(20):
        story.runner.succeed(*BATCH)
        if story.base.last_status() == "completed":
            break
        time.sleep(0.2)
    assert violations(story.base.conn) == []


def _stopped_past_its_lease(story: Story, source: Source) -> Ended:
    deposed = story.begin(SHORT_LIMITS)
    worker = deposed.worker()
    deposed.signal(signal.SIGSTOP)
    wait_for(lambda: is_stopped(deposed.pid) and is_stopped(worker))
    story.overtake()
    _leave_work_behind(source)
    deposed.signal(signal.SIGCONT)
    return story.resume()


def _lock_session_ended(story: Story, source: Source) -> Ended:
    """Here the limits are those of every day, so that nothing but the fence can be in time."""
    deposed = story.begin()
    assert story.base.one("SELECT pg_terminate_backend(%s)", story.base.one(GUARD_OF, deposed.correlation_id))
    story.overtake()
    _leave_work_behind(source)
    return story.resume()


def _leave_work_behind(source: Source) -> None:
    """What only the deposed run is there to do, if it dares."""
    source.write({n: False for n in range(40) if n % 10 < 7})


@pytest.mark.slow
@pytest.mark.parametrize("where", POINTS)
def test_a_run_stopped_past_its_lease_writes_nothing_after_its_rival(
    where: str, base: Base, proxy: Proxy, runner: Runner, ledger: Ledger
) -> None:
    source = _half_ingested(base, runner)
    story = Story(base, proxy, runner, POINTS[where])

    ended = _stopped_past_its_lease(story, source)

    _was_deposed(story, ended)
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert ended.stdout == b""
    _ends_well(story, source)
    ledger(f"stopped past its lease {where}: 0 writes after the rival's first")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before_a_transaction", "before_a_commit"])
def test_a_run_whose_lock_session_was_ended_writes_nothing_after_its_rival(
    where: str, base: Base, proxy: Proxy, runner: Runner, ledger: Ledger
) -> None:
    source = _half_ingested(base, runner)
    story = Story(base, proxy, runner, POINTS[where])

    ended = _lock_session_ended(story, source)

    _was_deposed(story, ended)
    _ends_well(story, source)
    ledger(f"lock session ended {where}: 0 writes after the rival's first")


def _was_deposed(story: Story, ended: Ended) -> None:
    assert story.late_writes() == []
    assert story.base.all(ROW, story.deposed.correlation_id) == [("abandoned", 1)]
    assert ended.exit_code == 1, ended.said


NO_FENCE = ("runtime/run.py", r"^( +)guard\.check_fence\(.*\)$", r"\1pass")
ANY_CHECKPOINT = ("runtime/checkpoints.py", r"^WHERE c\.run_id = .*\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tell", "mutant"),
    [(_lock_session_ended, [NO_FENCE]), (_stopped_past_its_lease, [NO_FENCE, ANY_CHECKPOINT])],
    ids=["lock_session_ended", "stopped_past_its_lease"],
)
def test_without_the_fence_a_deposed_run_is_seen_to_write(
    tell: Callable[[Story, Source], Ended],
    mutant: list[tuple[str, str, str]],
    base: Base,
    proxy: Proxy,
    new_runner: NewRunner,
    tmp_path: Path,
    ledger: Ledger,
) -> None:
    runner = new_runner(base.url, mutated(tmp_path, *mutant))
    source = _half_ingested(base, runner)
    story = Story(base, proxy, runner, POINTS["before_a_transaction"], deaf_for_good=True)

    ended = tell(story, source)

    late = dict(story.late_writes())
    assert "ops.checkpoints" in late, f"a run without a fence went unseen: {late}, {ended.said}"
    ledger(f"mutant without the fence caught: it wrote {late} after its rival")


@pytest.mark.slow
def test_lock_sessions_ended_at_random_with_a_rival_waiting(
    base: Base, proxy: Proxy, new_runner: NewRunner, rng: random.Random, ledger: Ledger
) -> None:
    runner = new_runner(base.url, **SHORT_LIMITS)
    source = Source([base.conn], count=200).create()
    runner.succeed(*BATCH)
    base.conn.execute(AUDIT.encode())
    story = Story(base, proxy, runner, POINTS["in_a_copy"])
    terminated = 0
    rounds = size(6, 200)
    for _ in range(rounds):
        source.change(rng, 0.8)
        story.deposed = runner.start("--batch-size", "2")
        guard = _guard_of(base, story.deposed)
        if guard is None:
            continue
        time.sleep(rng.uniform(0, 0.4))
        terminated += base.one("SELECT pg_terminate_backend(%s)", guard)
        story.rival = runner.start("--batch-size", "2")
        ended, rival = story.deposed.wait(), story.rival.wait()
        assert rival.exit_code == 0, rival.said
        assert ended.exit_code in (0, 1, 75), ended.said
        if base.all(ROW, story.rival.correlation_id)[0][0] == "completed":
            assert story.late_writes() == [], ended.said
    _ends_well(story, source)
    ledger(f"{terminated} lock sessions ended in {rounds} runs with a rival starting: 0 writes after the rival's first")


def _guard_of(base: Base, run: Started) -> int | None:
    """The pid of its lock's session, as soon as it has told; None when it was over before."""
    while run.is_alive:
        rows = base.all(GUARD_OF, run.correlation_id)
        if rows:
            return rows[0][0]
        time.sleep(0.02)
    return None


def test_a_stopped_worker_is_ended_at_its_max_runtime(base: Base, proxy: Proxy, new_runner: NewRunner) -> None:
    runner = new_runner(base.url, **SHORT_LIMITS | {"JOBCTL_KILL_GRACE_S": "1"})
    source = _half_ingested(base, runner)
    story = Story(base, proxy, runner, POINTS["before_a_transaction"])
    base.conn.execute(AUDIT.encode())
    started = story.deposed = runner.start(*BATCH, "--max-runtime", "4s", url=proxy.url)
    story.gate.arrive()
    started.signal(signal.SIGSTOP, supervisor=False)

    ended = started.wait()

    assert ended.exit_code == 124, ended.said
    assert base.all(ROW, started.correlation_id) == [("timeout", 124)]
    started.wait_for_all()
    story.gate.open()
    _ends_well(story, source)
