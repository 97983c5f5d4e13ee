"""`jobctl run NAME -- COMMAND...`: any command of the user's under the envelope (job `run`, scope NAME).

Cron asks for whatever the team has: a backup, a report, a script. Read is the command's output; written are its file
(`<output_dir>/NAME.log`), an event for each attempt, and the history row with the end of the output. What the command
itself does twice is its own affair: the lock keeps two runs of NAME apart, and only `--retries` starts it again.
"""

import random
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobctl import clock
from jobctl.durations import format_duration
from jobctl.errors import CommandFailed, Interrupted, JobctlError, MaxRuntimeExceeded
from jobctl.jobs.wrapped.child import Child, Ended
from jobctl.jobs.wrapped.conditions import Conditions, LineWatch, Verdict, judge
from jobctl.jobs.wrapped.output import Output
from jobctl.runtime.outcome import Outcome
from jobctl.runtime.run import Run

JITTER_SHARE = 0.1  # runs that failed together do not come back together


@dataclass(frozen=True, slots=True)
class Options:
    """`redact` takes secrets out of what is kept; `max_runtime_s` is that of the run with all its attempts;
    `term_wait_s` passes between SIGTERM and SIGKILL; with `shows` the output goes to our own streams, too."""

    command: Sequence[str]
    environment: Mapping[str, str]
    output_file: Path
    redact: Callable[[str], str]
    max_runtime_s: float
    term_wait_s: float
    conditions: Conditions = field(default_factory=Conditions)
    retries: int = 0
    retry_wait_s: float = 30.0
    leave_children: bool = False
    shows: bool = False


@dataclass(slots=True)
class _Story:
    """What is to be told of the attempts so far."""

    attempts: int = 0
    last: Ended | None = None
    notes: list[str] = field(default_factory=list[str])
    error: JobctlError | None = None


def run_wrapped(run: Run, options: Options) -> Outcome:
    command = options.redact(shlex.join(options.command))
    if run.dry_run:
        return Outcome(notes=_plan(command, options))
    output = Output(options.output_file, shows=options.shows, redact=options.redact)
    story = _Story()
    until = time.monotonic() + options.max_runtime_s
    try:
        while True:
            story.attempts += 1
            output.header(f"{clock.utc_now():%Y-%m-%dT%H:%M:%SZ} run {run.run_id} attempt {story.attempts}: {command}")
            may_try_again = _attempt(run, options, output, story)
            if not may_try_again or story.attempts > options.retries or not _waits(run, options, story, until):
                break
    finally:
        output.close()
    if output.lost:
        story.notes.append(output.lost)
    return _outcome(options, output, story)


def environment_of(run: Run, inherited: Mapping[str, str]) -> dict[str, str]:
    """What the command gets: its environment, and by which names its run is known."""
    slot_at = run.identity.slot_at
    return {
        **{name: value for name, value in inherited.items() if name != "JOBCTL_SLOT"},
        "JOBCTL_RUN_ID": str(run.run_id),
        "JOBCTL_CORRELATION_ID": run.identity.correlation_id,
        **({"JOBCTL_RUN_SLOT": slot_at.isoformat()} if slot_at is not None else {}),
    }


def _attempt(run: Run, options: Options, output: Output, story: _Story) -> bool:
    """One attempt; whether another could do better."""
    watch = LineWatch(options.conditions)

    def take(stream: int, chunk: bytes) -> None:
        watch.feed(stream, chunk)
        output.add(stream, chunk)

    child = Child(
        run.stop,
        take,
        term_wait_s=options.term_wait_s,
        leave_children=options.leave_children,
        merged=not options.shows,
    )
    try:
        ended = child.run(options.command, environment_of(run, options.environment))
    except CommandFailed as error:  # it could not be started
        story.error = error
        run.event("attempt_failed", level="error", attempt=story.attempts, reason=str(error))
        return False
    watch.end()
    story.last = ended
    story.notes += _notes_on(ended, options)
    if run.stop.reason is not None:
        story.error = _of_a_command(run.stop.reason)
        run.event("attempt_stopped", level="warning", attempt=story.attempts, exit_code=ended.exit_code)
        return False
    verdict = judge(
        options.conditions,
        watch,
        exit_code=ended.exit_code,
        signal_name=ended.signal_name,
        ran_s=ended.ran_s,
        last_line=output.last_line(),
    )
    return _told(run, options, story, ended, verdict)


def _told(run: Run, options: Options, story: _Story, ended: Ended, verdict: Verdict) -> bool:
    number, took_ms = story.attempts, round(ended.ran_s * 1000)
    if not verdict.failure:
        story.error = None
        run.event("attempt_succeeded", attempt=number, exit_code=ended.exit_code, duration_ms=took_ms)
        return False
    where = f"its whole output: {options.output_file}"
    story.error = CommandFailed(verdict.failure, command_exit_code=verdict.exit_code, hint=where)
    run.event(
        "attempt_failed",
        level="warning",
        attempt=number,
        exit_code=ended.exit_code,
        duration_ms=took_ms,
        reason=verdict.failure,
    )
    return True


def _waits(run: Run, options: Options, story: _Story, until: float) -> bool:
    """Wait for the next attempt, if there is time for one and nobody asks for the end."""
    wait_s = options.retry_wait_s * (1 + random.uniform(0, JITTER_SHARE))
    if time.monotonic() + wait_s >= until:
        story.notes.append("no time was left for another attempt")
        return False
    if run.stop.event.wait(wait_s) and run.stop.reason is not None:
        story.error = _of_a_command(run.stop.reason)
        return False
    return True


def _of_a_command(reason: JobctlError) -> JobctlError:
    """Why it was ended, in words for what has no checkpoint."""
    message, hint = reason.message.partition("; its checkpoint")[0], "the next run starts it anew"
    if isinstance(reason, Interrupted):
        return Interrupted(message, signal_number=reason.signal_number, hint=hint)
    if isinstance(reason, MaxRuntimeExceeded):
        hint = "raise --max-runtime if it needs longer; its output tells how far it came"
    return type(reason)(message, hint=hint)


def _notes_on(ended: Ended, options: Options) -> list[str]:
    notes: list[str] = []
    if ended.left_behind:
        became = "left running" if options.leave_children else "ended"
        notes.append(f"{_processes(ended.left_behind)} that the command had left behind: {became}")
    if ended.not_ended:
        notes.append(f"{_processes(ended.not_ended)} could not be ended: another user's, or stuck in the kernel")
    return notes


def _outcome(options: Options, output: Output, story: _Story) -> Outcome:
    if story.attempts > 1:
        story.notes.append(f"{story.attempts} attempts")
    last = story.last
    if story.error is None and last is not None and last.exit_code:
        story.notes.append(f"exit code {last.exit_code}, which --ok-exit allows")
    return Outcome(
        counts={"attempts": story.attempts, "output_bytes": output.bytes_read},
        metrics={"command_peak_memory_bytes": last.peak_memory_bytes, "command_s": round(last.ran_s, 3)}
        if last
        else {},
        notes=tuple(story.notes),
        error=story.error,
        evidence={
            "command_exit_code": last.exit_code if last else None,
            "command_signal": last.signal_name if last else None,
            "output_file": str(options.output_file),
        },
        output=output.end(),
    )


def _plan(command: str, options: Options) -> list[str]:
    limit, grace = format_duration(options.max_runtime_s), format_duration(options.term_wait_s)
    notes = [
        f"would run: {command}",
        f"for {limit} at most, then SIGTERM to its processes and {grace} later SIGKILL",
        f"output to {options.output_file}",
    ]
    if options.retries:
        notes.append(f"up to {options.retries} more attempts, {format_duration(options.retry_wait_s)} apart")
    return notes


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
