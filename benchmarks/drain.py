"""How fast is a backlog drained, with all that jobctl promises, and what does each promise cost?

    python benchmarks/drain.py [--tasks 100000] [--users 1000] [--batch 500] [--rounds 3] [--workers 1 2]
        [--no-rivals] [--no-costs]

Empty tasks, 2 running per user, a limit of their type and one in all, lease, fence and a row for each try on. Against
it, in turns, on the same server, with as many processes and the same batch: a bare loop of two statements over a table
of its own (claim with SKIP LOCKED, set done) without any of that. pgqueuer and procrastinate are installed into a
temporary environment and drain their own tables by their own workers; pgqueuer in batches of its default and of ours,
the latter without and with limits of its own (of the type and of a worker); procrastinate, which fetches one by one,
gets fewer tasks (`--few`). The cost of a promise is what the drain takes less without it.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict
from server import machine, scratch_server

from jobctl.db import embedded
from jobctl.db.connection import Database
from jobctl.queue import claim as claim_module
from jobctl.queue import complete as complete_module
from jobctl.queue.claim import Claimer
from jobctl.queue.complete import complete
from jobctl.queue.task import Ending

RIVALS = Path(__file__).parent / "rivals"
PACKAGES = ("pgqueuer[asyncpg]", "procrastinate", "psycopg[binary,pool]", "uvloop")

FILL = """
INSERT INTO queue.tasks (type, user_id)
SELECT 'empty', 'user-' || n %% %(users)s FROM generate_series(1, %(tasks)s) AS n
"""
BARE_TABLE = """
CREATE TABLE IF NOT EXISTS public.bare (
    task_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type text NOT NULL, user_id text NOT NULL, payload jsonb,
    state text NOT NULL DEFAULT 'queued', scheduled_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS bare_queued ON public.bare (scheduled_at, task_id) WHERE state = 'queued';
TRUNCATE public.bare
"""
BARE_FILL = """
INSERT INTO public.bare (type, user_id)
SELECT 'empty', 'user-' || n %% %(users)s FROM generate_series(1, %(tasks)s) AS n
"""
BARE_CLAIM = """
UPDATE public.bare SET state = 'running' WHERE task_id IN (
    SELECT task_id FROM public.bare WHERE state = 'queued' AND scheduled_at <= now()
    ORDER BY scheduled_at, task_id LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING task_id, type, user_id, payload
"""
BARE_COMPLETE = (
    "UPDATE public.bare SET state = 'succeeded' WHERE task_id = ANY (%(task_ids)s::bigint[]) AND state = 'running'"
)
# Without limits and turns: whatever is first. The index is what such a queue would have instead of the lanes.
FIRST_INDEX = "CREATE INDEX IF NOT EXISTS tasks_first ON queue.tasks (scheduled_at, task_id) WHERE state = 'queued'"
FIRST_CLAIM = """
UPDATE queue.tasks AS t
SET state = 'running', attempts = t.attempts + 1, fence = (SELECT nextval('queue.fences')),
    lease_until = statement_timestamp() + interval '60 s', claimed_at = statement_timestamp(),
    updated_at = statement_timestamp(), worker = 'bench/1', worker_run_id = %(run_id)s
WHERE t.task_id IN (
    SELECT q.task_id FROM queue.tasks AS q WHERE q.state = 'queued' AND q.scheduled_at <= statement_timestamp()
    ORDER BY q.scheduled_at, q.task_id LIMIT %(wanted)s FOR UPDATE SKIP LOCKED)
RETURNING t.task_id, t.type, t.fence, t.user_id, t.organization_id, t.site_url, t.payload, t.subject_id, t.dedupe_key,
    t.model_version, t.content_hash, t.attempts, t.crashes, t.checkpoint, t.scheduled_at, t.claimed_at
"""
PROMISES = {
    "attempts": "a row for each try",
    "held": "fence, moment and lease checked at the end",
    "limits": "limits and turns of users",
    "lock": "claims one after the other",
    "nodisk": "claims not waited for on disk (left out: waited for)",
}


class Drained(NamedTuple):
    """`cpu_s` is the processor time of workers and server together, which tells more where other work runs beside."""

    tasks: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.tasks / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.tasks * 1e6

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s ({self.cpu_us:.0f} us of processor time a task)"


# The workers: processes that say they are ready, and begin when told --------------------------------------------------


def work_jobctl(conn: psycopg.Connection, batch: int, without: str) -> int:
    claims: Callable[[], Sequence[Any]] = partial(
        Claimer(["empty"], worker="bench/1", run_id=uuid.uuid4(), lease_s=60).claim, conn, batch
    )
    if without == "attempts":
        ended, _, _ = complete_module.SUCCEED.partition("INSERT INTO queue.attempts")
        complete_module.SUCCEED = ended + "SELECT task_id FROM ended"
    elif without == "held":
        before, _, rest = complete_module.SUCCEED.partition(" AND t.fence = e.fence")
        complete_module.SUCCEED = before + "\n    RETURNING" + rest.partition("RETURNING")[2]
    elif without == "limits":
        claims = partial(claim_first, conn, batch)
    elif without == "lock":
        claim_module.LOCK_ADMISSION = "SELECT 1"
    elif without == "nodisk":
        claim_module.WITHOUT_DISK = "SELECT 1"
    begin()
    done = 0
    while tasks := claims():
        assert not complete(conn, [Ending(task, "succeeded", "succeeded") for task in tasks])
        done += len(tasks)
    return done


def claim_first(conn: psycopg.Connection, batch: int) -> list[Any]:
    from jobctl.queue.task import Task

    with conn.pipeline(), conn.transaction():
        conn.execute("SELECT set_config('synchronous_commit', 'off', true)")
        rows = conn.execute(FIRST_CLAIM, {"wanted": batch, "run_id": uuid.UUID(int=1)}, prepare=True)
    return [Task(*row) for row in rows]


def work_bare(conn: psycopg.Connection, batch: int) -> int:
    begin()
    done = 0
    while rows := conn.execute(BARE_CLAIM, {"batch": batch}, prepare=True).fetchall():
        task_ids = "{" + ",".join([str(row[0]) for row in rows]) + "}"
        conn.execute(BARE_COMPLETE, {"task_ids": task_ids}, prepare=True)
        done += len(rows)
    return done


def begin() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def drain(commands: Sequence[Sequence[str]], postmaster: int) -> Drained:
    """From the word to begin until the last of these processes is done."""
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in commands
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    began_with = server_cpu_s(postmaster) + sum(cpu_s(process.pid) for process in processes)
    ended_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    done = 0
    for process in processes:
        assert process.stdout is not None
        done += int(process.stdout.readline())
    seconds = time.perf_counter() - started
    for process in processes:
        if process.wait(60) != 0:
            raise SystemExit(f"a worker failed: {process.args}")
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers_s = ended.ru_utime + ended.ru_stime - ended_before.ru_utime - ended_before.ru_stime
    time.sleep(0.2)  # until the server has buried their backends
    return Drained(done, seconds, server_cpu_s(postmaster) + workers_s - began_with)


def server_cpu_s(postmaster: int) -> float:
    """Of the server with all its processes, those that have ended included."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return cpu_s(postmaster, with_ended=True) + sum(cpu_s(int(child)) for child in children)


def cpu_s(pid: int, *, with_ended: bool = False) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11 : 15 if with_ended else 13]) / os.sysconf("SC_CLK_TCK")


# What is measured -----------------------------------------------------------------------------------------------------


class Bench(NamedTuple):
    postmaster: int
    database: Database
    conn: psycopg.Connection
    tasks: int
    users: int
    batch: int

    def jobctl(self, workers: int, without: str = "") -> Drained:
        self.conn.execute("TRUNCATE queue.tasks, queue.attempts, queue.limits")
        self.conn.execute(
            "INSERT INTO queue.limits (kind, name, running)"
            " VALUES ('all', '', %(n)s), ('each_user', '', 2), ('type', 'empty', %(n)s)",
            {"n": 2 * self.batch * workers},
        )
        self.conn.execute(FIRST_INDEX.encode() if without == "limits" else b"DROP INDEX IF EXISTS queue.tasks_first")
        self.conn.execute(FILL, {"users": self.users, "tasks": self.tasks})
        self._settle()
        drained = self._run("jobctl", workers, without)
        self._check(drained, without)
        return drained

    def bare(self, workers: int) -> Drained:
        self.conn.execute(BARE_TABLE)
        self.conn.execute(BARE_FILL, {"users": self.users, "tasks": self.tasks})
        self._settle()
        return self._run("bare", workers)

    def _settle(self) -> None:
        self.conn.execute("VACUUM ANALYZE")
        self.conn.execute("CHECKPOINT")

    def _run(self, role: str, workers: int, without: str = "") -> Drained:
        command = [sys.executable, __file__, "--role", role, "--dsn", self.database.dsn, "--batch", str(self.batch)]
        drained = drain([[*command, "--without", without]] * workers, self.postmaster)
        if drained.tasks != self.tasks:
            raise SystemExit(f"{role} drained {drained.tasks} of {self.tasks}")
        return drained

    def _check(self, drained: Drained, without: str) -> None:
        rows = self.conn.execute("SELECT count(*) FROM queue.attempts WHERE outcome = 'succeeded'").fetchone()
        if without != "attempts" and rows != (drained.tasks,):
            raise SystemExit(f"{rows} rows of tries for {drained.tasks} tasks")


class Rival(NamedTuple):
    name: str
    program: str
    tasks: int
    goal: int
    numbers: tuple[int, ...]  # what its program takes: tasks a batch and a limit, or tasks at once

    def drained(self, bench: Bench, python: Path, workers: int) -> Drained:
        """In a database of its own."""
        bench.conn.execute(b"DROP DATABASE IF EXISTS rival")
        bench.conn.execute(b"CREATE DATABASE rival")
        known = conninfo_to_dict(bench.database.dsn)
        conninfo = f"host={known['host']} port={known['port']} user={known['user']} database=rival"
        program = str(RIVALS / self.program)
        subprocess.run([python, program, "fill", conninfo, str(self.tasks)], check=True)
        command = [str(python), program, "drain", conninfo, *map(str, self.numbers)]
        drained = drain([command] * workers, bench.postmaster)
        if drained.tasks != self.tasks:
            print(f"  {self.name} drained {drained.tasks:,} of {self.tasks:,}")
        return drained


@contextmanager
def environment() -> Generator[Path, None, None]:
    """A Python with the rivals."""
    folder = Path(tempfile.mkdtemp(prefix="jobctl-rivals-", dir="/var/tmp"))
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True, stderr=subprocess.DEVNULL)
        yield folder / "bin" / "python"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(bench: Bench, rounds: int, workers: Sequence[int]) -> dict[int, Drained]:
    print(f"{machine()}; {bench.tasks:,} tasks of {bench.users:,} users, batches of {bench.batch}, {rounds} rounds")
    ours_of: dict[int, Drained] = {}
    for number in workers:
        ratios: list[float] = []
        costs: list[float] = []
        seen: list[Drained] = []
        for _ in range(rounds):
            bare, ours = bench.bare(number), bench.jobctl(number)
            ratios.append(ours.rate / bare.rate)
            costs.append(bare.cpu_s / ours.cpu_s)
            seen.append(ours)
            print(f"  {number} worker(s): bare {bare}, jobctl {ours}: {ratios[-1]:.2f}, by processor {costs[-1]:.2f}")
        ours_of[number] = sorted(seen, key=lambda each: each.rate)[len(seen) // 2]
        print(
            f"  {number} worker(s): median {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}), "
            f"by processor time {statistics.median(costs):.2f} ({min(costs):.2f}-{max(costs):.2f})"
        )
    return ours_of


def measure_costs(bench: Bench, rounds: int) -> None:
    """Each promise left out by itself, in turns with the drain that keeps all."""
    found: dict[str, list[Drained]] = {without: [] for without in ("", *PROMISES)}
    for _ in range(rounds):
        for without, drains in found.items():
            drains.append(bench.jobctl(1, without))
    time_us = {key: statistics.median(each.seconds for each in of) / bench.tasks * 1e6 for key, of in found.items()}
    cpu_us = {key: statistics.median(each.cpu_us for each in of) for key, of in found.items()}
    print(
        f"  cost of each promise, one worker, of {time_us['']:.0f} us ({cpu_us['']:.0f} us of processor time) a task:"
    )
    for without, words in PROMISES.items():
        saved, saved_cpu = time_us[""] - time_us[without], cpu_us[""] - cpu_us[without]
        print(f"    {words}: {saved:.1f} us ({saved / time_us['']:.0%}), {saved_cpu:.1f} us of processor time")


def measure_rivals(bench: Bench, few: int, workers: Sequence[int], ours: dict[int, Drained]) -> None:
    batch = bench.batch
    rivals = (
        Rival("pgqueuer in batches of 10, its default", "pgqueuer_drain.py", bench.tasks, 5, (10,)),
        Rival(f"pgqueuer in batches of {batch}", "pgqueuer_drain.py", bench.tasks, 5, (batch,)),
        Rival(f"pgqueuer in batches of {batch}, limited", "pgqueuer_drain.py", bench.tasks, 5, (batch, 4 * batch)),
        Rival("procrastinate, 10 at once", "procrastinate_drain.py", few, 30, (10,)),
    )
    with environment() as python:
        for rival in rivals:
            for count in workers:
                theirs = rival.drained(bench, python, count)
                print(
                    f"  {count} worker(s): {rival.name}: {theirs}, jobctl {ours[count].rate / theirs.rate:.1f} x "
                    f"(goal {rival.goal}), by processor time {theirs.cpu_us / ours[count].cpu_us:.1f} x"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--few", type=int, default=5_000)
    parser.add_argument("--no-rivals", action="store_true")
    parser.add_argument("--no-costs", action="store_true")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--dsn", help=argparse.SUPPRESS)
    parser.add_argument("--without", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.role:
        with Database(asked.dsn, "jobctl-bench").connect() as conn:
            if asked.role == "bare":
                done = work_bare(conn, asked.batch)
            else:
                done = work_jobctl(conn, asked.batch, asked.without)
            print(done, flush=True)
        return
    with scratch_server() as (data_dir, database), database.connect() as conn:
        postmaster = embedded.status(data_dir).pid
        assert postmaster is not None
        bench = Bench(postmaster, database, conn, asked.tasks, asked.users, asked.batch)
        rates = measure(bench, asked.rounds, asked.workers)
        if not asked.no_costs:
            measure_costs(bench, asked.rounds)
        if not asked.no_rivals:
            measure_rivals(bench, asked.few, asked.workers, rates)


if __name__ == "__main__":
    main()
