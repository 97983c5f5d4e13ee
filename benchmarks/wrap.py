"""What does `jobctl run` cost over `flock -n F timeout T`, around a command that does nothing?

    python benchmarks/wrap.py [--rounds 15]

Whole processes, in turn; printed are the medians and the ratio. A dead heartbeat address is tried beside a run without.
"""

import argparse
import os
import statistics
import subprocess
import sysconfig
import time
from pathlib import Path

from server import machine, scratch_server

DEAD = "run=http://127.0.0.1:9/ping"  # the discard port, on which nobody listens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    script = str(Path(sysconfig.get_path("scripts")) / "jobctl")
    with scratch_server() as (data_dir, _):
        environment = os.environ | {"JOBCTL_DATA_DIR": str(data_dir), "JOBCTL_RUN_AS_USER": "nobody"}
        commands = {
            "flock + timeout": (["flock", "-n", str(data_dir / "f"), "timeout", "60", "true"], environment),
            "jobctl run": ([script, "run", "nothing", "--", "true"], environment),
            "dead watcher": ([script, "run", "nothing", "--", "true"], environment | {"JOBCTL_HEARTBEAT_URLS": DEAD}),
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, (command, variables) in commands.items():
                started = time.perf_counter()
                done = subprocess.run(command, capture_output=True, check=False, env=variables)
                if done.returncode != 0:
                    raise SystemExit(f"{command} failed: {done.stderr.decode()}")
                if number:  # the first round warms the caches
                    taken[name].append(time.perf_counter() - started)
    print(f"{machine()}; {rounds} rounds")
    plain = statistics.median(taken["flock + timeout"])
    for name, times in taken.items():
        median = statistics.median(times)
        print(f"  {name:16} {median * 1000:6.1f} ms, {median / plain:5.1f} x flock + timeout")
    more_ms = (statistics.median(taken["dead watcher"]) - statistics.median(taken["jobctl run"])) * 1000
    print(f"  a dead watcher costs {more_ms:.0f} ms (at most 100)")


if __name__ == "__main__":
    main()
