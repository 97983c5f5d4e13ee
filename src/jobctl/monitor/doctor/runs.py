"""What runs left behind: rows of dead runs, runs that wait on the disk for the database, messages not sent."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jobctl.durations import format_duration
from jobctl.monitor.doctor import server
from jobctl.monitor.doctor.finding import Finding, ok, warning
from jobctl.monitor.doctor.server import DeadRun, Unsent
from jobctl.monitor.doctor.situation import Situation

SPOOL = "spool"


def check_dead(situation: Situation) -> Iterator[Finding]:
    with situation.link.on_our_schema() as conn:
        yield judge_dead(server.dead_runs(conn))


def judge_dead(found: Sequence[DeadRun]) -> Finding:
    check = "runs.dead"
    if not found:
        return ok(check, "whatever says it is running holds its lock")
    first = found[0]
    name = f"{first.job} {first.scope}".strip()
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return warning(
        check,
        f"{name} (run {first.run_id} on {first.host}) says it has been running for "
        f"{format_duration(int(first.age_s))}, and its lock is gone{more}",
        why="it died without a word; its work is not lost, the next run goes on from the checkpoint",
        mend=f"jobctl {first.job}",
    )


def check_unsent(situation: Situation) -> Iterator[Finding]:
    with situation.link.on_our_schema() as conn:
        yield from judge_unsent(server.unsent(conn))


def judge_unsent(found: Sequence[Unsent]) -> list[Finding]:
    check = "runs.outbox"
    if not found:
        return [ok(check, "every message of the last 7 days went out")]
    words = {
        "failed": "were refused for good",
        "unknown": "may have arrived or not",
        "new": "have been waiting for more than an hour",
        "sending": "have been waiting for more than an hour",
    }
    return [
        warning(
            check,
            f"{each.count} messages to {each.channel} {words[each.state]}" + (f": {each.why}" if each.why else ""),
            why="somebody may not have heard of a failed run",
            mend="jobctl doctor --only outgoing --send-test, and read them: jobctl report outbox,"
            " jobctl db psql -c 'TABLE ops.outbox'",
        )
        for each in found
    ]


def check_demo(situation: Situation) -> Iterator[Finding]:
    """Says nothing where there is none, as nearly everywhere."""
    with situation.link.on_our_schema() as conn:
        as_of = server.demo_as_of(conn)
    if as_of is not None:
        yield warning(
            "runs.demo",
            f"sample data is loaded here (a year until {as_of:%Y-%m-%d})",
            why="while it is there, nobody is told of any alert",
            mend="jobctl demo remove",
        )


def check_spool(situation: Situation) -> Iterator[Finding]:
    yield judge_spool(*_waiting(situation.settings.data_dir / SPOOL, situation.now.timestamp()))


def judge_spool(directory: Path, count: int, oldest_s: float) -> Finding:
    check = "runs.spool"
    if count == 0:
        return ok(check, "no run waits to be brought into the history")
    return warning(
        check,
        f"{count} runs made without the database wait in {directory}, the oldest for {format_duration(int(oldest_s))}",
        why="the history and the slots do not know them yet",
        mend="look at database.reachable; the next run that reaches the database brings them in",
    )


def _waiting(directory: Path, now_s: float) -> tuple[Path, int, float]:
    try:
        files = [path.stat().st_mtime for path in directory.iterdir() if path.is_file() and path.name[0] != "."]
    except FileNotFoundError:
        files = []
    return directory, len(files), max((now_s - each for each in files), default=0.0)
