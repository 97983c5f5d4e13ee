"""How long does a sync take, how much does it ask, and what does it cost where nothing has changed?

    python benchmarks/sync.py [--projects 25] [--issues 200] [--changed 60] [--latency 0.1] [--rounds 3] [--no-rival]
    python benchmarks/sync.py --load 100 200 [--load-issues 200]

GitHub is the server of the tests, in a process of its own, and answers each request after `--latency`. Each round
changes `--changed` issues of each project and runs `jobctl sync`: the seconds of the run and of the whole process, and
the requests as the server counted them. Then once more, with nothing changed: how many requests a project, how many of
them answered 304, how much of the quota. At the end a loop with PyGithub, installed into a temporary environment, reads
the same changes: its requests against ours.

`--load` measures first loads of so many projects, one after the other, each into empty tables: seconds and processor
time a request, issues a second, and the peak memory of the worker. These runs go without the pace that keeps them
below GitHub's 900 requests a minute, which would be all that was measured; with it 1,000 projects take as long as that
allows.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from server import machine, scratch_server

HERE = Path(__file__).parent
RIVAL = HERE / "rivals" / "pygithub_sync.py"
UNPACED = """
import sys
from jobctl.github.pace import Pace
Pace.__init__.__kwdefaults__["burst"] = 1e12
from jobctl.__main__ import main
sys.argv[0] = "jobctl"
main()
"""


class Server:
    """Of so many projects, for as long as the process runs."""

    def __init__(self, projects: int, issues: int, latency_s: float) -> None:
        words = [sys.executable, HERE / "github_server.py", str(projects), str(issues), str(latency_s)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = self._read()
        self.url: str = told["url"]
        self.tokens: list[str] = told["tokens"]
        self.names: list[str] = told["names"]

    def say(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._read()

    def end(self) -> None:
        self._process.communicate("end\n", timeout=60)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def serving(projects: int, issues: int, latency_s: float) -> Generator[Server, None, None]:
    server = Server(projects, issues, latency_s)
    try:
        os.environ |= {"GITHUB_API_URL": server.url, "GITHUB_TOKEN": server.tokens[0]}
        yield server
    finally:
        server.end()


def jobctl(*words: str, program: tuple[str, ...] = ("-m", "jobctl")) -> tuple[dict[str, Any], float, float]:
    """What it reports, the seconds of the whole process, and its seconds of processor time."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *program, *words], capture_output=True, check=False, text=True)
    whole_s = time.perf_counter() - started
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"jobctl {' '.join(words[:3])} failed with {done.returncode}: {done.stdout}{done.stderr}")
    cpu_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return json.loads(done.stdout), whole_s, cpu_s


def follow(server: Server) -> None:
    for first in range(0, len(server.names), 200):
        jobctl("project", "add", *server.names[first : first + 200], "--json", program=("-c", UNPACED))
    server.say("account")


def used(account: Mapping[str, Any], server: Server) -> int:
    return int(account["used"][server.tokens[0]])


# The daily job --------------------------------------------------------------------------------------------------------


def measure(asked: argparse.Namespace) -> None:
    print(f"{machine()}; {asked.projects} projects of {asked.issues} issues, latency {asked.latency * 1000:.0f} ms")
    with serving(asked.projects, asked.issues, asked.latency) as server:
        follow(server)
        _, whole_s, _ = jobctl("sync", "--json", program=("-c", UNPACED))
        print(f"  first load: {server.say('account')['requests']} requests, {whole_s:.1f} s whole, without the pace")
        seconds: list[float] = []
        requests, since = 0, ""
        for _ in range(asked.rounds):
            since = server.say(f"change {asked.changed}")["since"]
            report, whole_s, cpu_s = jobctl("sync", "--json")
            account = server.say("account")
            requests = account["requests"]
            seconds.append(report["duration_ms"] / 1000)
            print(
                f"  {asked.changed} changed issues each: {seconds[-1]:.2f} s ({whole_s:.2f} s whole process, "
                f"{cpu_s:.2f} s of processor), {requests} requests {account['by_endpoint']}"
            )
            unchanged(server, asked.projects)
        print(f"  median {statistics.median(seconds):.2f} s (goal 5)")
        if not asked.no_rival:
            rival(server, since, requests)


def unchanged(server: Server, projects: int) -> None:
    before = used(server.say("account"), server)
    report, whole_s, _ = jobctl("sync", "--json")
    account = server.say("account")
    print(
        f"  nothing changed: {report['duration_ms'] / 1000:.2f} s ({whole_s:.2f} s whole process), "
        f"{account['requests'] / projects:.2f} requests a project (goal 2), {account['unchanged']} of "
        f"{account['requests']} answered 304, quota {used(account, server) - before} (goal 0)"
    )


def rival(server: Server, since: str, ours: int) -> None:
    with environment() as python:
        done = subprocess.run(
            [python, RIVAL, server.url, server.tokens[1], since, *server.names],
            capture_output=True,
            check=True,
            text=True,
        )
    read: dict[str, Any] = json.loads(done.stdout)
    requests = server.say("account")["requests"]
    print(
        f"  PyGithub: {read['seconds']:.1f} s, {requests} requests, {requests / ours:.1f} x ours (goal 10); read {read}"
    )


@contextmanager
def environment() -> Generator[Path, None, None]:
    """A Python with the rival."""
    folder = Path(tempfile.mkdtemp(prefix="jobctl-rivals-", dir="/var/tmp"))
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run(
            [folder / "bin" / "pip", "install", "--quiet", "PyGithub"], check=True, stderr=subprocess.DEVNULL
        )
        yield folder / "bin" / "python"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# First loads ----------------------------------------------------------------------------------------------------------


def measure_load(conn: psycopg.Connection, sizes: list[int], issues: int, latency_s: float) -> None:
    print(
        f"{machine()}; first loads of {sizes} projects of {issues} issues, latency {latency_s * 1000:.0f} ms, no pace"
    )
    for projects in sizes:
        conn.execute("TRUNCATE dev.projects, dev.etags CASCADE")
        conn.execute("CHECKPOINT")
        with serving(projects, issues, latency_s) as server:
            follow(server)
            report, _, cpu_s = jobctl("sync", "--json", program=("-c", UNPACED))
            account = server.say("account")
            seconds, requests = report["duration_ms"] / 1000, account["requests"]
            row = conn.execute("SELECT count(*) FROM dev.issues").fetchone()
            if row != (projects * issues,):
                raise SystemExit(f"{row} issues of {projects * issues}")
            print(
                f"  {projects} projects: {seconds:.1f} s, {requests} requests, {seconds / requests * 1000:.1f} ms and "
                f"{cpu_s / requests * 1000:.1f} ms of processor a request, "
                f"{projects * issues / seconds:,.0f} issues/s, peak memory "
                f"{int(report['peak_memory_bytes']) / 1e6:.0f} MB (goal 200)"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=25)
    parser.add_argument("--issues", type=int, default=200, help="of each project")
    parser.add_argument("--changed", type=int, default=60, help="issues of each project a round")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds before each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-rival", action="store_true")
    parser.add_argument("--load", type=int, nargs="+", metavar="PROJECTS", help="measure first loads of so many")
    parser.add_argument("--load-issues", type=int, default=200)
    asked = parser.parse_args()
    with scratch_server() as (data_dir, database), database.connect() as conn:
        os.environ |= {"JOBCTL_DATA_DIR": str(data_dir), "JOBCTL_RUN_AS_USER": "nobody"}
        if asked.load:
            measure_load(conn, asked.load, asked.load_issues, asked.latency)
        else:
            measure(asked)


if __name__ == "__main__":
    main()
