"""How the runs of a job and scope end. Pure.

Judged from the last finished ones, the newest first, and so it tells of the state that they leave, whichever of them
the caller has just ended.
"""

from collections.abc import Sequence
from itertools import pairwise

from jobctl.alerts import causes
from jobctl.alerts.conditions.durations import judge_durations
from jobctl.alerts.conditions.judge import Judge, Settings, span, subject_of
from jobctl.alerts.conditions.run_fact import RunFact, told_of
from jobctl.alerts.verdict import About, Verdict, between


def of_runs(
    runs: Sequence[RunFact], job: str, scope: str, settings: Settings, *, is_told: bool = False
) -> list[Verdict]:
    """What the last runs of a job and scope say, the newest first. `is_told`: what degraded the newest is told of as
    what it is, and needs no alert besides."""
    if not runs:
        return []
    last = runs[0]
    judge = Judge(settings, subject_of(job, scope), last.finished_at, About(job, scope, last.run_id, last.host))
    _skips(judge, runs, job, scope)
    if last.status == "skipped":
        return judge.verdicts
    if last.is_bad:
        _failed(judge, runs, job, scope)
    elif last.is_good:
        _went_well(judge, last, job, scope, is_told=is_told)
    judge_durations(judge, runs, job, scope)
    _failure_rate(judge, runs, job, scope)
    if last.is_good and scope:  # what was told of the job as a whole: it could not even tell its scopes, or never began
        whole = Judge(settings, job, last.finished_at, About(job, "", last.run_id, last.host))
        for condition in ("run-failed", "consecutive-failures", "max-runtime", "missed-slot"):
            whole.say(condition, False)
        judge.verdicts += whole.verdicts
    return judge.verdicts


def _failed(judge: Judge, runs: Sequence[RunFact], job: str, scope: str) -> None:
    last = runs[0]
    cause = causes.cause_of(last.error_class, job, scope)
    subject = subject_of(job, scope)
    if last.status == "timeout":
        judge.say("max-runtime", True, title=f"{subject} timeout: {last.error_class}", facts=told_of(last), cause=cause)
        judge.say("run-failed", False)
    else:
        title = f"{subject} {last.status}: {last.error_class or last.status}"
        judge.say("run-failed", True, title=title, facts=told_of(last), cause=cause)
        judge.say("max-runtime", False)
    found = judge.of("consecutive-failures")
    if found is None:
        return
    after = max(1, int(found.main_for(job, scope)))
    in_a_row = 0
    for run in runs:
        if run.status == "skipped":
            continue
        if not run.is_bad:
            break
        in_a_row += 1
    if in_a_row >= after:
        title = f"{subject} failed {in_a_row} times in a row: {last.error_class or last.status}"
        judge.say("consecutive-failures", True, title=title, facts=told_of(last), cause=cause)


def _went_well(judge: Judge, last: RunFact, job: str, scope: str, *, is_told: bool) -> None:
    for condition in ("run-failed", "consecutive-failures", "max-runtime", "missed-slot"):
        judge.say(condition, False)
    subject = subject_of(job, scope)
    own = causes.own("run", job, scope, "Degraded")
    judge.say(
        "run-degraded",
        last.degraded and not is_told,
        title=f"{subject} degraded: {last.error_class or 'Degraded'}",
        facts=told_of(last),
        cause=own,
    )
    found, read = judge.of("rejected-share"), last.counts.get("read", 0)
    if found is not None and read > 0:
        share, limit = last.counts.get("rejected", 0) / read, found.main_for(job, scope)
        title = f"{subject}: {share:.0%} of {read:,} records were rejected, more than {limit:.0%}"
        judge.say("rejected-share", between(share, limit), title=title, facts=told_of(last), cause=own)


def _skips(judge: Judge, runs: Sequence[RunFact], job: str, scope: str) -> None:
    after = int(judge.limit_of("skips", job, scope))
    if not after:
        return
    last = runs[0]
    if last.status != "skipped" or last.holder_run_id is None:
        judge.say("skips", False if last.status != "skipped" else None)
        return
    behind = 0
    for run in runs:
        if run.status != "skipped" or run.holder_run_id != last.holder_run_id:
            break
        behind += 1
    subject = subject_of(job, scope)
    title = f"{subject}: {behind} starts in a row were skipped behind one run"
    facts = (("holder", f"run {last.holder_run_id}"), *told_of(last))
    judge.say("skips", True if behind >= after else None, title=title, facts=facts)


def _failure_rate(judge: Judge, runs: Sequence[RunFact], job: str, scope: str) -> None:
    found = judge.of("failure-rate")
    limit = found.main_for(job, scope) if found is not None else 0
    if found is None or not limit:
        return
    newest = runs[0].finished_at
    window = [
        run
        for run in runs
        if (run.is_bad or run.is_good) and (newest - run.finished_at).total_seconds() <= found.of("window_s")
    ]
    if len(window) < max(1, found.of("runs")):
        return
    bad = sum(run.is_bad for run in window)
    streaks = sum(run.is_bad and not before.is_bad for run, before in pairwise(window)) + window[-1].is_bad
    subject = subject_of(job, scope)
    title = f"{subject} fails again and again: {bad} of {len(window)} runs in {span(found.of('window_s'))}"
    is_firing = between(bad / len(window), limit)
    if is_firing and streaks < 2:  # one failure that lasts, or lasted, is told as what it is
        is_firing = None
    judge.say("failure-rate", is_firing, title=title, facts=told_of(runs[0]))
