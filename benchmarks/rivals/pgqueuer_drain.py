"""pgqueuer: fill CONNINFO COUNT | drain CONNINFO BATCH [LIMIT]. Run by drain.py in an environment of its own."""
# pyright: basic, reportMissingImports=false

import sys

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.types import QueueExecutionMode
from pgqueuer.queries import Queries


async def fill(parameters: dict[str, str], count: int) -> None:
    conn = await asyncpg.connect(**parameters)
    queries = Queries(AsyncpgDriver(conn))
    await queries.install()
    for first in range(0, count, 10_000):
        number = min(10_000, count - first)
        await queries.enqueue(["empty"] * number, [None] * number, [0] * number)
    await conn.execute("VACUUM ANALYZE")
    await conn.close()


async def drain(parameters: dict[str, str], batch: int, limit: int = 0) -> None:
    conn = await asyncpg.connect(**parameters)
    queue = PgQueuer(AsyncpgDriver(conn))
    done = 0

    @queue.entrypoint("empty", concurrency_limit=limit)
    async def empty(_job: object) -> None:
        nonlocal done
        done += 1

    print("ready", flush=True)
    sys.stdin.readline()
    await queue.qm.run(batch_size=batch, max_concurrent_tasks=limit or None, mode=QueueExecutionMode.drain)
    print(done, flush=True)


def main() -> None:
    what, conninfo, *numbers = sys.argv[1:]
    parameters = dict(pair.split("=", 1) for pair in conninfo.split())
    work = drain if what == "drain" else fill
    uvloop.run(work(parameters, *map(int, numbers)))


if __name__ == "__main__":
    main()
