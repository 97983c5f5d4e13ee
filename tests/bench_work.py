"""`jobctl work` with handlers made for the purpose: a package beside the code, whose entry points name them.

What a handler has done it writes to bench.done, in its effect or beside it.
"""

import os
import signal
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from bench_postgres import TEST_SETTINGS, Bench, ask, fresh_bench, has_processes, wait_for
from bench_runs import SHORT_LIMITS, SOURCE, Base, Runner
from jobctl.db.connection import Database
from jobctl.db.migrate import migrate

HANDLERS = '''
import os, signal, sys, threading, time

from jobctl.queue.handler import NotRecoverable, Recoverable, Snooze


def noop(task, context):
    return None


def note(task, context):
    """Writes a line in its effect; waits before and after."""
    time.sleep(task.payload.get("before_s", 0))
    with context.effect() as conn:
        conn.execute("INSERT INTO bench.done (task_id, fence) VALUES (%s, %s)", (task.task_id, task.fence))
        time.sleep(task.payload.get("within_s", 0))
    time.sleep(task.payload.get("after_s", 0))
    return {"noted": True}


def look(task, context):
    with context.reading() as conn:
        found = conn.execute("SELECT count(*) FROM bench.done").fetchone()[0]
    with context.reading() as conn:
        if task.payload.get("writes"):
            conn.execute("INSERT INTO bench.done (task_id, fence) VALUES (%s, %s)", (task.task_id, task.fence))
    return {"found": found}


def sleep(task, context):
    began = time.time()
    time.sleep(task.payload["s"])
    return {"began": began, "ended": time.time()}


def polite(task, context):
    """Works until it is told to stop, or for its time."""
    until = time.monotonic() + task.payload.get("s", 60)
    while time.monotonic() < until:
        time.sleep(0.02)
        if task.payload.get("returns") and context.should_stop():
            return {"stopped": True}
        context.check()


def fail(task, context):
    raise ValueError(task.payload.get("says", "it broke"))


def refuse(task, context):
    raise NotRecoverable("it can never be done")


def busy(task, context):
    raise Recoverable("come back later", retry_after_s=task.payload["s"])


def snooze(task, context):
    raise Snooze(task.payload["s"])


def give(task, context):
    return task.payload["result"]


def nul(task, context):
    raise ValueError("a NUL \\0 and half a pair \\ud800")


def nul_result(task, context):
    return {"a\\0b": "c\\0d \\ud800"}


class Odd(BaseException):
    pass


def leave(task, context):
    raise {"exit": SystemExit(3), "memory": MemoryError(), "odd": Odd("odd"), "interrupt": KeyboardInterrupt()}[
        task.payload["how"]]


def poison(task, context):
    if task.payload.get("kills"):
        os.kill(os.getpid(), signal.SIGKILL)
    return note(task, context)


def many(tasks, context):
    with context.effect() as conn:
        for task in tasks:
            if task.payload.get("bad"):
                raise ValueError("one of them is bad")
            conn.execute("INSERT INTO bench.done (task_id, fence, batch) VALUES (%s, %s, %s)",
                (task.task_id, task.fence, len(tasks)))
    return [ValueError("this one") if task.payload.get("fails") else {"batch": len(tasks)} for task in tasks]


many.batch_size = 8
many.version = "m1"


def steps(task, context):
    """Fails at each step but goes on from its checkpoint."""
    step = (task.checkpoint or 0) + 1
    context.save_checkpoint(step)
    if step < 3:
        raise ValueError(f"after step {step}")
    return {"step": step}
'''
BROKEN = "raise ImportError('a part of it is not installed')\n"
NAMES = (
    *(
        "noop",
        "note",
        "look",
        "sleep",
        "polite",
        "fail",
        "refuse",
        "busy",
        "snooze",
        "give",
        "nul",
        "nul_result",
        "leave",
    ),
    *("poison", "many", "steps"),
)
TOML = """
[queue]
running = 500
per_user = {per_user}
lease_s = {lease_s}
beat_s = {beat_s}
{more}
[queue.defaults]
backoff_base_s = {backoff_s}
backoff_cap_s = {backoff_s}
max_attempts = 2
{types}
"""


def install_handlers(directory: Path, *, broken: Iterable[str] = ()) -> None:
    """A package and its metadata, as pip would leave them."""
    metadata = directory / "bench_handlers-1.0.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (directory / "bench_handlers.py").write_text(HANDLERS)
    (directory / "bench_broken.py").write_text(BROKEN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-handlers\nVersion: 1.0\n")
    lines = ["[jobctl.handlers]", *(f"{name} = bench_handlers:{name}" for name in NAMES)]
    lines += [f"{name} = bench_broken:handler" for name in broken]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")


def prepare(
    base: Base,
    runner: Runner,
    *,
    per_user: int = 1_000,
    lease_s: float = 60,
    backoff_s: float = 0.05,
    more: str = "",
    types: str = "",
    broken: Iterable[str] = (),
) -> Runner:
    """The runner runs `work`, with the handlers of this bench and short limits."""
    runner.job = "work"
    install_handlers(runner.directory / "handlers", broken=broken)
    runner.settings |= SHORT_LIMITS | {"PYTHONPATH": f"{SOURCE}:{runner.directory / 'handlers'}"}
    text = TOML.format(
        per_user=per_user, lease_s=lease_s, beat_s=lease_s / 6, backoff_s=backoff_s, more=more, types=types
    )
    (runner.directory / "jobctl.toml").write_text(text)
    base.conn.execute("CREATE SCHEMA IF NOT EXISTS bench")
    base.conn.execute(
        "CREATE TABLE IF NOT EXISTS bench.done (task_id bigint, fence bigint, batch integer,"
        " at timestamptz DEFAULT clock_timestamp())"
    )
    return runner


def enqueue(
    base: Base, type_: str, payload: Mapping[str, Any] | None = None, *, count: int = 1, user_id: str = "u"
) -> list[int]:
    rows = base.conn.execute(
        "INSERT INTO queue.tasks (type, payload, user_id) SELECT %s, %s, %s FROM generate_series(1, %s)"
        " RETURNING task_id",
        (type_, Jsonb(payload) if payload is not None else None, user_id, count),
    )
    return [row[0] for row in rows]


def states(base: Base) -> dict[str, int]:
    return dict(base.all("SELECT state, count(*)::int FROM queue.tasks GROUP BY state"))


def outcomes(base: Base) -> dict[str, int]:
    return dict(base.all("SELECT outcome, count(*)::int FROM queue.attempts GROUP BY outcome"))


VIEWS = ("no_task_twice", "limits_held", "no_stuck_past_lease", "attempts_add_up")


def broken_promises(base: Base) -> list[str]:
    return [f"{view}: {row}" for view in VIEWS for row in base.all(f"SELECT * FROM queue.{view} LIMIT 5")]


# A server of one's own, to be killed ------------------------------------------------------------------------------

SURVIVES_ITS_PROCESSES = {**TEST_SETTINGS, "synchronous_commit": "on"}


@contextmanager
def own_server() -> Generator[tuple[Bench, Base], None, None]:
    """With a database that has the schema, and a connection that does not outlive a restart."""
    with fresh_bench() as bench:
        bench.start(settings=SURVIVES_ITS_PROCESSES)
        with psycopg.connect(bench.dsn("postgres"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE mortal")
        migrate(Database(bench.dsn("mortal"), "jobctl-test"))
        conn = psycopg.connect(bench.dsn("mortal"), autocommit=True)
        yield bench, Base("mortal", bench.url("mortal"), bench.dsn("mortal"), conn)


def restart(bench: Bench) -> None:
    """Immediate stop: no session is asked, nothing is written out; then a new server on the same data."""
    os.kill(bench.postmaster(), signal.SIGQUIT)
    wait_for(lambda: not has_processes(bench.layout.pgdata))
    bench.start(settings=SURVIVES_ITS_PROCESSES)
    wait_for(lambda: ask(bench.dsn("mortal")) == 1)


def anew(base: Base) -> Base:
    base.conn.close()
    return replace(base, conn=psycopg.connect(base.dsn, autocommit=True))
