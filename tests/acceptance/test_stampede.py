"""Many starts at the same moment: one works, the others say whom they found and go, with exit 0."""

import threading
from collections.abc import Callable

import pytest

from bench_postgres import wait_for
from bench_runs import Base, Runner, Started, size
from bench_source import Source, violations

# A table lock keeps the one that works busy until all the others are done; these limits let it wait that long.
PATIENT = {
    "JOBCTL_LOCK_TIMEOUT_MS": "100000",
    "JOBCTL_STATEMENT_TIMEOUT_MS": "110000",
    "JOBCTL_IDLE_IN_TRANSACTION_TIMEOUT_MS": "120000",
    "JOBCTL_LEASE_S": "150",
}

OF_THESE = """
SELECT status, count(*)::int FROM ops.job_history WHERE correlation_id = ANY(%s) GROUP BY status ORDER BY status
"""
SKIPPED_WITHOUT_HOLDER = """
SELECT s.correlation_id, s.notes, s.evidence FROM ops.job_history AS s
WHERE s.correlation_id = ANY(%s) AND s.status = 'skipped' AND NOT EXISTS (
    SELECT FROM ops.job_history AS h
    WHERE h.status = 'completed' AND h.correlation_id = ANY(%s) AND s.evidence ->> 'holder_run_id' = h.run_id::text)
"""
OVERLAPS = """
SELECT count(*)::int FROM ops.job_history AS a JOIN ops.job_history AS b
    ON a.job = b.job AND a.scope = b.scope AND a.run_id < b.run_id
WHERE a.fence IS NOT NULL AND b.fence IS NOT NULL
  AND tstzrange(a.started_at, a.finished_at) && tstzrange(b.started_at, b.finished_at)
"""


@pytest.mark.slow
def test_of_many_simultaneous_starts_exactly_one_works(
    base: Base, runner: Runner, ledger: Callable[[str], None]
) -> None:
    rounds, starts = size(3, 100), size(20, 50)
    source = Source([base.conn], count=20).create()
    unnamed = 0
    for round_no in range(rounds):
        source.write(dict.fromkeys(range(0, 20, 2), False))
        with base.conn.transaction():
            base.conn.execute("LOCK TABLE core.items IN ACCESS EXCLUSIVE MODE")
            started = _at_once(runner, starts)
            _wait_for_all_but_one(started)
        codes = [each.wait().exit_code for each in started]
        names = [each.correlation_id for each in started]
        runner.end_all()
        runner.started.clear()
        assert codes == [0] * starts, f"round {round_no}: {codes}"
        assert dict(base.all(OF_THESE, names)) == {"completed": 1, "skipped": starts - 1}, f"round {round_no}"
        # Who comes in the moment between the lock and the first word of its holder cannot be told the name.
        nameless = base.all(SKIPPED_WITHOUT_HOLDER, names, names)
        assert all("just starting" in str(notes) for _, notes, _ in nameless), nameless
        unnamed += len(nameless)
    assert base.one(OVERLAPS) == 0
    assert violations(base.conn) == []
    ledger(
        f"{rounds} x {starts} simultaneous starts: {rounds} worked, {rounds * (starts - 1)} exit 0 with a skipped row"
        f" ({unnamed} of them met a holder that had not said its name yet), 0 overlaps"
    )


def _wait_for_all_but_one(started: list[Started]) -> None:
    wait_for(lambda: sum(each.is_alive for each in started) <= 1, 120)


def _at_once(runner: Runner, count: int) -> list[Started]:
    """Started by as many threads, which wait for each other."""
    barrier = threading.Barrier(count)
    started: list[Started] = []

    def start() -> None:
        barrier.wait(60)
        started.append(runner.start(settings=PATIENT))

    threads = [threading.Thread(target=start) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(started) == count
    return started
