"""A slot that nobody answered for. Pure."""

from datetime import datetime

from jobctl.alerts import causes
from jobctl.alerts.conditions.judge import Judge, Settings, subject_of
from jobctl.alerts.verdict import About, Verdict


def of_missed_slot(
    job: str, scope: str, host: str, settings: Settings, *, slot: str, reason: str, slot_at: datetime
) -> list[Verdict]:
    """All slots that were missed since a host's boot or cron's start are that host's incident."""
    subject = subject_of(job, scope)
    judge = Judge(settings, subject, slot_at, About(job, scope, None, host))
    facts = (
        ("status", "missed"),
        ("error", f"SlotMissed: the slot {slot} was missed: {reason}"),
        ("hint", "jobctl slots --verdict missed shows the evidence"),
        ("host", host),
    )
    judge.say("missed-slot", True, title=f"{subject} missed: SlotMissed", facts=facts, cause=causes.own("missed", host))
    return judge.verdicts
