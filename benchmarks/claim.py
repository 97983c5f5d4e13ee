"""How long does a claim take, and does it stay so beside history and under an old snapshot?

    python benchmarks/claim.py [--claims 1000] [--batch 20] [--users 200] [--finished 1000000] [--drained 100000]

The 99th percentile of claims of 20, each followed by its completion, in three states of the database: (i) the tables
are empty otherwise; (ii) beside 1,000,000 finished tasks with the rows of their tries; (iii) while another session
holds a snapshot that is older than the drain of a whole backlog, so that nothing of it can be cleaned up. The goal is
4 x (i) for both. The states take turns round by round, so that a busy minute meets all of them.
"""

import argparse
import statistics
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from server import machine, scratch_server

from jobctl.db.connection import Database
from jobctl.queue.claim import Claimer
from jobctl.queue.complete import complete
from jobctl.queue.task import Ending

FILL = """
INSERT INTO queue.tasks (type, user_id)
SELECT 'empty', 'user-' || n %% %(users)s FROM generate_series(1, %(tasks)s) AS n
"""
FINISHED = """
INSERT INTO queue.tasks (type, user_id, state, attempts, fence, worker, claimed_at, finished_at)
SELECT 'empty', 'user-' || n %% %(users)s, 'succeeded', 1, nextval('queue.fences'), 'bench/1', now(), now()
FROM generate_series(1, %(tasks)s) AS n
"""
ATTEMPTS = """
INSERT INTO queue.attempts (task_id, fence, type, user_id, attempt, host, worker, due_at, claimed_at, finished_at,
    outcome)
SELECT t.task_id, t.fence, t.type, t.user_id, 1, 'bench', t.worker, t.scheduled_at, t.claimed_at, t.finished_at,
    'succeeded'
FROM queue.tasks AS t WHERE t.state = 'succeeded'
"""


class Setting(NamedTuple):
    claims: int
    batch: int
    users: int
    finished: int
    drained: int


def claimer() -> Claimer:
    return Claimer(["empty"], worker="bench/1", run_id=uuid.uuid4(), lease_s=60)


def fill(conn: psycopg.Connection, tasks: int, users: int) -> None:
    conn.execute("TRUNCATE queue.tasks, queue.attempts")
    conn.execute(FILL, {"users": users, "tasks": tasks})
    conn.execute("VACUUM ANALYZE queue.tasks, queue.attempts")


def claims_ms(conn: psycopg.Connection, setting: Setting) -> list[float]:
    """Milliseconds of each claim, the first of a new claimer among them."""
    claims, took = claimer(), list[float]()
    for _ in range(setting.claims):
        started = time.perf_counter()
        tasks = claims.claim(conn, setting.batch)
        took.append((time.perf_counter() - started) * 1000)
        assert len(tasks) == setting.batch
        assert not complete(conn, [Ending(task, "succeeded", "succeeded") for task in tasks])
    return took


def alone(database: Database, setting: Setting) -> list[float]:
    with database.connect() as conn:
        fill(conn, setting.claims * setting.batch, setting.users)
        conn.execute("CHECKPOINT")
        return claims_ms(conn, setting)


def beside_finished(database: Database, setting: Setting) -> list[float]:
    with database.connect() as conn:
        fill(conn, 0, setting.users)
        conn.execute(FINISHED, {"users": setting.users, "tasks": setting.finished})
        conn.execute(ATTEMPTS)
        conn.execute(FILL, {"users": setting.users, "tasks": setting.claims * setting.batch})
        conn.execute("VACUUM ANALYZE queue.tasks, queue.attempts")
        conn.execute("CHECKPOINT")
        return claims_ms(conn, setting)


def under_a_snapshot(database: Database, setting: Setting) -> list[float]:
    with database.connect() as conn:
        fill(conn, setting.drained + setting.claims * setting.batch, setting.users)
        with old_snapshot(database):
            claims = claimer()
            for _ in range(setting.drained // 500):
                tasks = claims.claim(conn, 500)
                assert not complete(conn, [Ending(task, "succeeded", "succeeded") for task in tasks])
            conn.execute("CHECKPOINT")
            return claims_ms(conn, setting)


@contextmanager
def old_snapshot(database: Database) -> Generator[None, None, None]:
    with database.connect() as holder:
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM queue.limits")
        yield
        holder.execute("ROLLBACK")


STATES = {"empty otherwise": alone, "beside finished rows": beside_finished, "under an old snapshot": under_a_snapshot}


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in Setting(1_000, 20, 200, 1_000_000, 100_000)._asdict().items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=3)
    asked = vars(parser.parse_args())
    rounds = asked.pop("rounds")
    setting = Setting(**asked)
    print(f"{machine()}; {setting}, {rounds} rounds")
    ratios: dict[str, list[float]] = {state: [] for state in STATES}
    with scratch_server() as (_, database):
        for _ in range(rounds):
            base = 0.0
            for state, measure in STATES.items():
                took = measure(database, setting)
                base = base or p99(took)
                ratios[state].append(p99(took) / base)
                print(
                    f"  {state}: median {statistics.median(took):.1f} ms, p99 {p99(took):.1f} ms, "
                    f"longest {max(took):.1f} ms, {ratios[state][-1]:.1f} x"
                )
    for state, found in ratios.items():
        print(f"p99 {state}: median {statistics.median(found):.1f} x ({min(found):.1f}-{max(found):.1f})")


if __name__ == "__main__":
    main()
