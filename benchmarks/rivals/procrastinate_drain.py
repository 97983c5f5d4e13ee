"""procrastinate: fill CONNINFO COUNT | drain CONNINFO CONCURRENCY. Run by drain.py in an environment of its own."""
# pyright: basic, reportMissingImports=false

import sys

import uvloop
from procrastinate import App, PsycopgConnector

done = 0


def app_of(conninfo: str) -> App:
    pairs = dict(pair.split("=", 1) for pair in conninfo.split())
    dsn = f"host={pairs['host']} port={pairs['port']} user={pairs['user']} dbname={pairs['database']}"
    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=2, max_size=12))

    @app.task(name="empty")
    async def empty() -> None:
        global done  # noqa: PLW0603 - a counter of one process
        done += 1

    return app


async def fill(conninfo: str, count: int) -> None:
    app = app_of(conninfo)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, count, 1_000):
            deferrer = app.configure_task("empty", queue="default")
            await deferrer.batch_defer_async(*({} for _ in range(min(1_000, count - first))))


async def drain(conninfo: str, concurrency: int) -> None:
    app = app_of(conninfo)
    async with app.open_async():
        print("ready", flush=True)
        sys.stdin.readline()
        await app.run_worker_async(wait=False, concurrency=concurrency, listen_notify=False)
    print(done, flush=True)


if __name__ == "__main__":
    what, conninfo, number = sys.argv[1:]
    uvloop.run(drain(conninfo, int(number)) if what == "drain" else fill(conninfo, int(number)))
