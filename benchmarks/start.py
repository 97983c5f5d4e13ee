"""How long do commands take to start, against a bare interpreter?

    python benchmarks/start.py [--rounds 15]

Each round runs every command once, in turn, as a whole process; printed are the medians and their ratio to
`python -c pass` of the same interpreter. The last two are what bash starts for a press of Tab (goal: 0.5 s).
"""

import argparse
import os
import statistics
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from server import machine, scratch_server

from jobctl.runtime.guard import Grant, Guard

TABS = {"Tab, a word": "jobctl runs li", "Tab, a branch": "jobctl branch show fr"}
OFFERED = {"Tab, a word": b"list\n", "Tab, a branch": b"free\n"}
LIMITS = {"--version": 2.0, "--help": 8.0, "lock held": 22.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    script = str(Path(sysconfig.get_path("scripts")) / "jobctl")
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "--version": [script, "--version"],
        "--help": [script, "--help"],
        "lock held": [script, "ingest-branch", "--branch", "held"],
        "nothing new": [script, "ingest-branch", "--branch", "free"],
        **{name: [script] for name in TABS},
    }
    with scratch_server() as (data_dir, database):
        os.environ["JOBCTL_DATA_DIR"] = str(data_dir)
        os.environ["JOBCTL_RUN_AS_USER"] = "nobody"
        with database.connect() as conn:
            for slug in ("held", "free"):
                conn.execute(
                    "INSERT INTO branch.branches (slug, title, field_map, active, loaded_at) VALUES (%s, %s,"
                    ' \'{"record_id": "id", "name": "name"}\', true, now())',
                    (slug, slug),
                )
            guard = Guard(database, "ingest-branch", "held", lease_s=600)
            held = guard.acquire(conn, run_id=__import__("uuid").uuid4(), host="bench", worker_pid=1)
            if not isinstance(held, Grant):
                raise SystemExit("the lock could not be taken")
            taken: dict[str, list[float]] = {name: [] for name in commands}
            for number in range(rounds + 1):
                for name, command in commands.items():
                    started = time.perf_counter()
                    done = subprocess.run(command, capture_output=True, check=False, env=os.environ | tab(name))
                    if name in OFFERED:
                        if done.stdout != OFFERED[name]:
                            raise SystemExit(f"{name}: {done.stdout.decode()} was offered: {done.stderr.decode()}")
                    elif done.returncode != 0:
                        raise SystemExit(f"{command} failed: {done.stderr.decode()}")
                    if number:  # the first round warms the caches
                        taken[name].append(time.perf_counter() - started)
            not_skipped = "SELECT count(*) FROM ops.job_history WHERE scope = 'held' AND status <> 'skipped'"
            if conn.execute(not_skipped).fetchone() != (0,):
                raise SystemExit("the lock was not held to the end: it beats no heart, so be done within its lease")
            guard.release()
    print(f"{machine()}; {rounds} rounds")
    bare = statistics.median(taken["bare"])
    for name, times in taken.items():
        median = statistics.median(times)
        limit = f" (at most {LIMITS[name]:.0f})" if name in LIMITS else ""
        print(f"  {name:12} {median * 1000:6.0f} ms, {median / bare:5.1f} x bare{limit}")


def tab(name: str) -> dict[str, str]:
    """What bash tells the program that completes a line."""
    if name not in TABS:
        return {}
    line = TABS[name]
    return {"_JOBCTL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}


if __name__ == "__main__":
    main()
