"""What is wrong with a crontab, before the night in which it would show. Pure.

Cron tells nobody about most of this: a file with a fault is ignored with one line in the system's log, a command that
is cut at a `%` fails somewhere else. Each finding says what, why it matters and how to mend it.
"""

from jobctl.schedule.crontab_text import read_crontab
from jobctl.schedule.finding import Case, Finding, Known, Place
from jobctl.schedule.lint_commands import lint_commands
from jobctl.schedule.lint_environment import lint_environment
from jobctl.schedule.lint_jobctl import lint_jobctl
from jobctl.schedule.lint_lines import lint_file, lint_lines
from jobctl.schedule.lint_times import lint_times

RULES = (lint_file, lint_lines, lint_environment, lint_times, lint_commands, lint_jobctl)


def lint(text: str, place: Place, known: Known) -> tuple[Finding, ...]:
    """All findings in the order of the lines, those about the whole file first."""
    case = Case(text, read_crontab(text, is_system=place.is_system), place, known)
    findings = {finding: None for rule in RULES for finding in rule(case)}
    return tuple(sorted(findings, key=lambda finding: finding.line))
