"""The installed crontab: there, as planned, answering for slots, its commands found, and nothing for lint to say."""

import pwd
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobctl.accounts import shown_user
from jobctl.monitor.doctor.crontabs import CrontabFile
from jobctl.monitor.doctor.finding import Finding, NotAsked, failed, ok, warning
from jobctl.monitor.doctor.situation import Situation
from jobctl.schedule import finding as lint_finding
from jobctl.schedule.command_line import RUN, SCHEDULED, jobctl_words
from jobctl.schedule.crontab_text import program_of
from jobctl.schedule.finding import FileFacts, Known, Place
from jobctl.schedule.host_facts import command_is_there
from jobctl.schedule.installed import InstalledLine, cron_zone
from jobctl.schedule.lint import lint
from jobctl.schedule.plan import PLAN, JobSchedule
from jobctl.settings_reading.fault import InvalidSettings
from jobctl.settings_runtimes import DEFAULT_MAX_RUNTIME_S, OTHER_MAX_RUNTIME_S


def check_installed(situation: Situation) -> Iterator[Finding]:
    if situation.crontab_is_silent:
        yield judge_silent()
    else:
        yield judge_installed(situation.lines, situation.cron_user.name)


def judge_silent() -> Finding:
    return failed(
        "crontab.installed",
        "crontab -l gives no answer",
        why="what asks for users (a directory service) may hang cron as well, and then nothing is started",
        mend="time crontab -l; time id",
    )


def judge_installed(lines: Sequence[InstalledLine], os_user: str) -> Finding:
    check = "crontab.installed"
    if lines:
        sources = ", ".join(sorted({line.source for line in lines}))
        return ok(check, f"{len(lines)} lines of jobctl are installed ({sources})")
    return warning(
        check,
        f"no crontab that {os_user} may read has a line of jobctl, and no timer",
        why="no job starts by itself",
        mend="jobctl schedule install",
    )


def check_scheduled(situation: Situation) -> Iterator[Finding]:
    if not situation.lines:
        raise NotAsked("nothing is installed")
    yield judge_scheduled(situation.lines)


def judge_scheduled(lines: Sequence[InstalledLine]) -> Finding:
    check = "crontab.scheduled"
    without = [f"{line.job} {line.scope}".strip() for line in lines if not line.is_scheduled]
    if not without:
        return ok(check, "every line answers for its slots")
    return warning(
        check,
        f"without --scheduled: {', '.join(without)}",
        why="nobody notices when such a line misses its time, and nothing catches it up",
        mend="add --scheduled behind the job's name",
    )


def check_commands(situation: Situation) -> Iterator[Finding]:
    if not situation.lines:
        raise NotAsked("nothing is installed")
    yield judge_commands([line for line in situation.lines if command_is_there(line.command) is False])


def judge_commands(lost: Sequence[InstalledLine]) -> Finding:
    check = "crontab.commands"
    if not lost:
        return ok(check, "the command of every line is there")
    return failed(
        check,
        f"the command of {lost[0].job} in {lost[0].source} is not there: {lost[0].command[:200]}",
        why="cron starts a shell that finds nothing (exit 127), and no run is recorded",
        mend="jobctl schedule install, or correct the path",
    )


def check_plan(situation: Situation) -> Iterator[Finding]:
    from jobctl.schedule.from_settings import planned_from

    if not situation.lines:
        raise NotAsked("nothing is installed")
    try:
        plan = planned_from(situation.settings)
    except InvalidSettings as error:
        raise NotAsked("the settings' schedules are faulty") from error
    yield from judge_plan(situation.lines, [entry for entry in plan if entry.job in situation.commands])


def judge_plan(lines: Sequence[InstalledLine], plan: Sequence[JobSchedule]) -> list[Finding]:
    """Each job of the plan against its line: there, at the planned times, with the planned options."""
    check = "crontab.plan"
    differences: list[str] = []
    for entry in plan:
        own = [line for line in lines if line.job == entry.job and not line.scope]
        differences += [f"{entry.job} is planned and not installed"] if not own else []
        for line in own:
            if line.expression != entry.at:
                differences.append(f"{entry.job} is installed at {line.expression}, and planned at {entry.at}")
            if (options := _options(line)) != tuple(entry.options):
                said, wanted = shlex.join(options) or "no options", shlex.join(entry.options) or "none"
                differences.append(f"{entry.job} is installed with {said}, and planned with {wanted}")
    return [
        warning(
            check,
            text,
            why="what runs is what is installed; who reads the plan or the settings expects something else",
            mend="jobctl schedule install, or change the plan in jobctl.toml: [schedules.JOB]",
        )
        for text in differences
    ] or [ok(check, "what is installed is what is planned")]


def _options(line: InstalledLine) -> tuple[str, ...]:
    words = jobctl_words(program_of(line.command))
    return tuple(word for word in words.words[1:] if word != SCHEDULED) if words is not None else ()


def check_lint(situation: Situation) -> Iterator[Finding]:
    if not situation.crontabs:
        raise NotAsked("no crontab is installed")
    for file in situation.crontabs:
        known = _known(situation)
        yield from judge_lint(file.source, lint(file.text, _place(file), known))


def judge_lint(source: str, found: Sequence[lint_finding.Finding]) -> list[Finding]:
    check = "crontab.lint"
    findings: list[Finding] = []
    for each in found:
        where = f"{source}, line {each.line}" if each.line else source
        what = f"{where}: {each.what} [{each.code}]"
        if each.severity == "error":
            findings.append(failed(check, what, why=each.why, mend=each.mend))
        elif each.severity == "warning":
            findings.append(warning(check, what, why=each.why, mend=each.mend))
    return findings or [ok(check, f"lint has nothing against {source}")]


def _known(situation: Situation) -> Known:
    limits = situation.loaded.settings.max_runtime_s if situation.loaded is not None else DEFAULT_MAX_RUNTIME_S
    return Known(
        zone=cron_zone(),
        now=situation.now,
        commands=situation.commands,
        planned_jobs=tuple(entry.job for entry in PLAN),
        max_runtime_s={RUN: OTHER_MAX_RUNTIME_S, **limits},
        users={entry.pw_name for entry in pwd.getpwall()},
        exists=_exists,
    )


def _place(file: CrontabFile) -> Place:
    if file.path is None:
        return Place(is_system=False)
    status = file.path.stat()
    facts = FileFacts(shown_user(status.st_uid), stat.S_IMODE(status.st_mode), status.st_nlink)
    return Place(is_system=True, cron_d_name=file.path.name if file.path.parent.name == "cron.d" else None, facts=facts)


def _exists(path: str) -> bool:
    try:
        Path(path).stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # what we may not look for may be there
    return True


CHECKS = (
    ("crontab.installed", check_installed),
    ("crontab.scheduled", check_scheduled),
    ("crontab.commands", check_commands),
    ("crontab.plan", check_plan),
    ("crontab.lint", check_lint),
)
