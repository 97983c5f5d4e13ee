"""`jobctl run NAME -- COMMAND...`: any command of the user's under the envelope.

Cron asks for a command to be run; read and written is whatever the command does, which is not ours to know. Running it
twice is as safe as the command is: what jobctl gives is that it does not run twice at the same time, ends at its limit
with everything it started, and that its output, exit code and history are kept.
"""

import random
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobctl.durations import format_duration
from jobctl.errors import CommandFailed, Interrupted
from jobctl.jobs.wrapped.command import Ended, execute
from jobctl.jobs.wrapped.output import Output
from jobctl.runtime import process_tree
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run

LONGEST_MESSAGE = 300
JITTER = 0.1  # of the wait before another try


@dataclass(frozen=True, slots=True)
class Conditions:
    """What counts as success."""

    ok_exit_codes: frozenset[int] = frozenset({0})
    fail_on: re.Pattern[str] | None = None
    require: re.Pattern[str] | None = None
    min_runtime_s: float = 0


@dataclass(frozen=True, slots=True)
class Options:
    command: Sequence[str]
    environment: Mapping[str, str]
    output_file: Path
    conditions: Conditions = Conditions()
    retries: int = 0
    retry_wait_s: float = 30
    term_wait_s: float = 5
    leave_children: bool = False
    shows: bool = False


def run_wrapped(run: Run, options: Options) -> Outcome:
    """Run the command until it succeeds or its tries are used up. Raises CommandFailed with its exit code."""
    if run.dry_run:
        return Outcome(notes=("would run: " + " ".join(options.command),))
    process_tree.adopt_orphans()
    notes: list[str] = []
    with Output(options.output_file, conditions=(options.conditions.fail_on, options.conditions.require),
                shows=options.shows) as output:  # fmt: skip
        attempt = 0
        while True:
            attempt += 1
            output.begin(f"{run.now:%Y-%m-%dT%H:%M:%SZ} run {run.run_id} attempt {attempt}")
            try:
                ended = execute(
                    options.command,
                    {**options.environment, **_about(run)},
                    output,
                    run.stop,
                    first_signal=lambda: _signal_for(run),
                    term_wait_s=options.term_wait_s,
                    leave_children=options.leave_children,
                )
            finally:
                run.keep_output(output.tail())
            if ended.left_behind:
                notes.append(f"{ended.left_behind} processes it left behind were ended")
            why = _why_failed(ended, options.conditions, output)
            counts = {"attempts": attempt, "output_bytes": output.total_bytes}
            if why is None:
                return Outcome(counts=counts, notes=notes)
            if attempt > options.retries:
                break
            run.event("attempt_failed", level="warning", attempt=attempt, exit_code=ended.exit_code, reason=why)
            wait_s = options.retry_wait_s * random.uniform(1, 1 + JITTER)
            run.stop.event.wait(wait_s)
            run.stop.check()
    raise CommandFailed(
        _told(why, output),
        command_exit_code=ended.exit_code if ended.exit_code not in options.conditions.ok_exit_codes else 1,
        hint=f"its whole output: {options.output_file}",
    )


def _about(run: Run) -> dict[str, str]:
    """What the command may know of its run."""
    slot_at = run.identity.slot_at
    about = {"JOBCTL_RUN_ID": str(run.run_id), "JOBCTL_CORRELATION_ID": run.identity.correlation_id}
    return {**about, "JOBCTL_RUN_SLOT": slot_at.isoformat()} if slot_at is not None else about


def _signal_for(run: Run) -> int:
    """A signal that was sent to us is passed on; a limit says SIGTERM."""
    reason = run.stop.reason
    forwarded = isinstance(reason, Interrupted) and reason.signal_number != signal.SIGKILL
    return reason.signal_number if isinstance(reason, Interrupted) and forwarded else signal.SIGTERM


def _why_failed(ended: Ended, conditions: Conditions, output: Output) -> str | None:
    if ended.exit_code not in conditions.ok_exit_codes:
        return ended.in_words
    if conditions.fail_on is not None and output.has_seen(conditions.fail_on):
        return f"its output matches {conditions.fail_on.pattern!r} (--fail-on)"
    if conditions.require is not None and not output.has_seen(conditions.require):
        return f"its output does not match {conditions.require.pattern!r} (--require)"
    if ended.ran_s < conditions.min_runtime_s:
        least = format_duration(conditions.min_runtime_s)
        return f"it ended after {format_duration(ended.ran_s)}, and {least} is the least (--min-runtime)"
    return None


def _told(why: str, output: Output) -> str:
    last = output.last_line()
    return why + (f": {last[:LONGEST_MESSAGE]}" if last else "")
