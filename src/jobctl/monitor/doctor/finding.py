"""What a check has to say: what it found, why that matters, and the command that mends it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from jobctl.errors import EXIT_CONFIGURATION, EXIT_DONE, EXIT_FAILED

Status = Literal["ok", "warning", "failed", "skipped"]

SUBJECTS: Final = (
    "program",
    "settings",
    "environment",
    "zones",
    "files",
    "disk",
    "database",
    "embedded",
    "runs",
    "cron",
    "crontab",
    "outgoing",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is `subject.name`. `why` and `mend` are empty where there is nothing to mend.

    `is_configuration` marks what exit code 78 is for: settings, schema, privileges."""

    check: str
    status: Status
    what: str
    why: str = ""
    mend: str = ""
    is_configuration: bool = False

    @property
    def subject(self) -> str:
        return self.check.partition(".")[0]


class NotAsked(Exception):
    """A check cannot be made here; says why. It becomes a finding `skipped`."""


def ok(check: str, what: str) -> Finding:
    return Finding(check, "ok", what)


def skipped(check: str, what: str) -> Finding:
    return Finding(check, "skipped", what)


def warning(check: str, what: str, *, why: str, mend: str) -> Finding:
    return Finding(check, "warning", what, why, mend)


def failed(check: str, what: str, *, why: str, mend: str, is_configuration: bool = False) -> Finding:
    return Finding(check, "failed", what, why, mend, is_configuration)


def status_of(findings: Sequence[Finding]) -> Status:
    """The worst of them; what was skipped counts as nothing."""
    found = {each.status for each in findings}
    return "failed" if "failed" in found else "warning" if "warning" in found else "ok"


def exit_code_of(findings: Sequence[Finding]) -> int:
    """0 unless something failed; 78 where settings, schema or privileges did, since nothing works before they are."""
    broken = [each for each in findings if each.status == "failed"]
    if not broken:
        return EXIT_DONE
    return EXIT_CONFIGURATION if any(each.is_configuration for each in broken) else EXIT_FAILED


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "status": status_of(findings),
        "exit_code": exit_code_of(findings),
        "counts": {
            status: sum(each.status == status for each in findings) for status in ("ok", "warning", "failed", "skipped")
        },
        "items": [
            {
                "check": each.check,
                "subject": each.subject,
                "status": each.status,
                "what": each.what,
                "why": each.why,
                "mend": each.mend,
            }
            for each in findings
        ],
        "next": None,
    }
