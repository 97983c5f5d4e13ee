"""A run that takes too long: for anybody, or for its job. Pure."""

from collections.abc import Sequence
from math import ceil

from jobctl.alerts import causes
from jobctl.alerts.conditions.judge import Judge, span, subject_of
from jobctl.alerts.conditions.run_fact import RunFact, told_of


def judge_durations(judge: Judge, runs: Sequence[RunFact], job: str, scope: str) -> None:
    """Both limits and the own p95 have one cause: that this job is slow. A run that was ended early tells nothing."""
    last = runs[0]
    if not last.is_good and last.status != "timeout":
        return
    took, subject = last.duration_ms / 1000, subject_of(job, scope)
    cause = causes.own("slow", job, scope)
    for condition in ("long-run", "slow-run"):
        limit = judge.limit_of(condition, job, scope)
        if limit:
            title = f"{subject} took {span(took)}, longer than {span(limit)}"
            judge.say(condition, took > limit, title=title, facts=told_of(last), cause=cause)
    found = judge.of("unusual-run")
    factor = found.main_for(job, scope) if found is not None else 0
    if found is None or not factor:
        return
    usual = [run.duration_ms / 1000 for run in runs[1:] if run.is_good]
    if len(usual) < found.of("runs"):
        return
    p95 = percentile(usual, 0.95)
    limit = max(p95 * factor, found.of("least_s"))
    title = f"{subject} took {span(took)}; 95 of 100 of its last {len(usual)} runs took {span(p95)} or less"
    judge.say("unusual-run", took > limit, title=title, facts=told_of(last), cause=cause)


def percentile(values: Sequence[float], share: float) -> float:
    """Of the nearest rank: a value that there was."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
