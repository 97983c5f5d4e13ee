"""Tasks of the type `command`: a program of the settings' allow-list, started anew for each try.

    payload   {"command": "rebuild-index", ...}

Which program that is and with which words it is started stands in `[queue.commands.rebuild-index]` and nowhere else:
a payload can name it and cannot add a word. The program reads the whole payload as JSON from its stdin, and finds
which task and try it is for in JOBCTL_TASK_ID, JOBCTL_TASK_TYPE, JOBCTL_TASK_ATTEMPT and JOBCTL_TASK_USER. Of jobctl's
secrets it gets those that its settings name.

Exit 0 is success. What its last line on stdout says is the result, if that is a JSON object; else the end of stdout is.
Exit codes are read as sysexits(3) means them: see FINAL. Everything else, 75 and a signal's end included, is tried
again. A try that times out, or whose run ends, takes all processes with it that came of the program; they get SIGTERM
so early that they are gone when the try's time is up, and the next try meets none of them.

Running a program twice is its own affair: it may have done its work and died before it could say so. The task's id is
the same in each try, and is what it can tell them by.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from jobctl.did_you_mean import did_you_mean
from jobctl.durations import format_duration
from jobctl.jobs.work.contained import Ended, NotStarted, WardenLost, run_contained
from jobctl.jobs.work.said import clean_object, end_of, object_in, redactor_of
from jobctl.jobs.wrapped.conditions import plain
from jobctl.jobs.wrapped.output import Output
from jobctl.queue.handler import Context, NotRecoverable, Recoverable
from jobctl.queue.task import Task
from jobctl.redact import Redactor
from jobctl.settings_outside import CommandSettings
from jobctl.settings_reading.environment import environment_for_commands

# Usage, data, no input, no user, no permission, configuration; not executable, not found (as shells say it).
FINAL: Final = frozenset({64, 65, 66, 67, 77, 78, 126, 127})
STDOUT: Final = 1
LONGEST_NAME: Final = 63
GRACE_SHARE: Final = 0.1
KILL_S: Final = 2.0  # SIGKILL needs a moment, too


def command(task: Task, context: Context) -> Mapping[str, Any]:
    name, settings = _named(task, context)
    redactor = redactor_of(context.settings)
    out, err = (Output(None, shows=False, redact=redactor.text) for _ in range(2))
    left_s = context.seconds_left()
    # Of a stop's grace as long again is left to give the task back; of the try's time most is the program's.
    grace_s = min(context.settings.kill_grace_s / 2, GRACE_SHARE * left_s)
    most_s = left_s - grace_s - min(KILL_S, GRACE_SHARE * left_s)
    try:
        ended = run_contained(
            settings.argv,
            environment=_environment(task, settings),
            given=json.dumps(dict(task.payload)).encode("ascii"),
            take=lambda stream, chunk: (out if stream == STDOUT else err).add(stream, chunk),
            timeout_s=most_s if settings.timeout_s is None else min(most_s, settings.timeout_s),
            grace_s=grace_s,
            should_stop=context.should_stop,
        )
    except NotStarted as error:
        raise NotRecoverable(f"command {name}: {settings.argv[0]} cannot be started: {error}") from None
    except WardenLost:
        raise Recoverable(f"command {name}: killed from outside with the process that watched over it") from None
    except OSError as error:  # no process or pipe to be had
        raise Recoverable(f"command {name}: cannot be started now: {error.strerror}") from None
    _tell_what_was_left(ended, context)
    if ended.why != "ended":
        context.check()  # what ends the run, or takes the task away, is the worker's to tell
        if ended.why == "stopped":
            raise Recoverable(f"command {name}: stopped from outside")
        if settings.timeout_s is not None and settings.timeout_s <= most_s:
            raise TimeoutError(f"command {name}: ended at its timeout of {format_duration(settings.timeout_s)}")
        of_type = context.settings.queue_settings.policy_of(task.type).timeout_s
        raise TimeoutError(f"command {name}: ended at its type's timeout of {format_duration(of_type)}")
    if ended.signal_number:
        raise Recoverable(_with_line(f"command {name}: ended by {ended.signal_name}", out, err, redactor))
    if ended.exit_code:
        text = _with_line(f"command {name}: exit code {ended.exit_code}", out, err, redactor)
        raise (NotRecoverable if ended.exit_code in FINAL else Recoverable)(text)
    return _result(out, redactor)


def _named(task: Task, context: Context) -> tuple[str, CommandSettings]:
    name = task.payload.get("command")
    known = context.settings.queue_settings.commands
    if not isinstance(name, str):
        raise NotRecoverable('the payload names no command: {"command": NAME}')
    if name not in known:
        shown = plain(name, LONGEST_NAME)
        meant = did_you_mean(shown, known, cutoff=0.6)
        raise NotRecoverable(
            f"the payload names the command {shown!r}, which the settings do not have"
            + (f": did you mean {meant}?" if meant else ": write [queue.commands.NAME] with its argv")
        )
    return name, known[name]


def _environment(task: Task, settings: CommandSettings) -> dict[str, str]:
    inherited = environment_for_commands(settings.environment)
    return {
        **{name: value for name, value in inherited.items() if name != "JOBCTL_SLOT"},
        "JOBCTL_TASK_ID": str(task.task_id),
        "JOBCTL_TASK_TYPE": task.type,
        "JOBCTL_TASK_ATTEMPT": str(task.attempt),
        "JOBCTL_TASK_USER": task.user_id,
    }


def _result(out: Output, redactor: Redactor) -> dict[str, Any]:
    text = out.end()
    found = object_in(text.rstrip().rpartition("\n")[2])
    cleaned = clean_object(found, redactor) if found is not None else None
    return cleaned if cleaned is not None else {"output": end_of(text)}


def _with_line(what: str, out: Output, err: Output, redactor: Redactor) -> str:
    """With what it said last, on stderr if it said anything there."""
    line = redactor.text(err.last_line() or out.last_line())
    return f"{what}: {line}" if line else what


def _tell_what_was_left(ended: Ended, context: Context) -> None:
    if ended.left_behind or ended.not_ended:
        context.event("command_left_processes", left_behind=ended.left_behind, not_ended=ended.not_ended)
