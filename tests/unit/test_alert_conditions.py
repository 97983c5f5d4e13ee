"""Each condition: when it fires, when it is over, and when it says nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from jobctl.alerts import anomalies, causes
from jobctl.alerts.anomalies import Past
from jobctl.alerts.conditions.branches import Freshness, of_branches
from jobctl.alerts.conditions.disks import Room, of_disks
from jobctl.alerts.conditions.figures import Figure, of_figures
from jobctl.alerts.conditions.judge import Settings, gone, subject_of
from jobctl.alerts.conditions.mails import Mails, of_mails
from jobctl.alerts.conditions.queue import Backlog, of_backlogs, of_queue_cause
from jobctl.alerts.conditions.rates import Rate, of_success_rates
from jobctl.alerts.conditions.rule import of_rule
from jobctl.alerts.conditions.run_fact import RunFact
from jobctl.alerts.conditions.runs import of_runs
from jobctl.alerts.conditions.slots import of_missed_slot
from jobctl.alerts.verdict import Verdict
from jobctl.settings_alerts import AlertSettings, RuleSettings, read_alerts
from jobctl.settings_conditions import CONDITIONS, ConditionSettings

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
DEFAULTS = AlertSettings().conditions


def run(status: str = "completed", *, took_s: float = 10, ago_m: float = 0, **changes: object) -> RunFact:
    exit_code = {"completed": 0, "skipped": 0, "timeout": 124}.get(status, 1)
    ended = NOW - timedelta(minutes=ago_m)
    error = {"failed": "SourceError", "timeout": "MaxRuntimeExceeded", "abandoned": "Abandoned"}.get(status)
    made = RunFact(UUID(int=1), status, False, exit_code, "vm1", ended, ended, round(took_s * 1000), {}, (), error, "x")
    return made._replace(**changes)


def judged(
    runs: Sequence[RunFact], job: str = "sync", scope: str = "", settings: Settings = DEFAULTS
) -> dict[str, bool | None]:
    found = of_runs(runs, job, scope, settings)
    subject = subject_of(job, scope)
    return {each.condition: each.is_firing for each in found if each.subject == subject}


def firing(runs: Sequence[RunFact], job: str = "sync", scope: str = "") -> set[str]:
    return {name for name, is_firing in judged(runs, job, scope).items() if is_firing}


def cause(verdicts: Sequence[Verdict], condition: str) -> str:
    return next(each.cause for each in verdicts if each.condition == condition)


def test_a_run_that_went_well_ends_what_failures_began_and_opens_nothing() -> None:
    found = judged([run()])
    assert not any(found.values())
    assert {"run-failed", "consecutive-failures", "max-runtime", "run-degraded", "missed-slot", "skips"} <= found.keys()


@pytest.mark.parametrize("status", ["failed", "abandoned"])
def test_a_failure_fires_at_once_and_the_third_in_a_row_as_more(status: str) -> None:
    assert firing([run(status)]) == {"run-failed"}
    assert firing([run(status), run("skipped"), run(status), run()]) == {"run-failed"}
    assert firing([run(status), run("skipped"), run(status), run(status)]) == {"run-failed", "consecutive-failures"}


def test_the_newest_failure_has_the_cause_of_both() -> None:
    found = of_runs([run("failed", error_class="Limited"), *[run("failed")] * 2], "sync", "", DEFAULTS)
    assert cause(found, "run-failed") == cause(found, "consecutive-failures") == causes.GITHUB


@pytest.mark.parametrize(("exit_code", "told"), [(130, False), (143, False), (129, False), (137, True), (139, True)])
def test_an_interruption_fires_unless_somebody_asked_for_it(exit_code: int, told: bool) -> None:
    found = judged([run("interrupted", exit_code=exit_code)])
    assert found.get("run-failed") is (True if told else None)


def test_the_end_at_max_runtime_is_a_condition_of_its_own() -> None:
    assert firing([run("timeout", took_s=540)]) == {"max-runtime", "long-run", "slow-run"}


def test_a_skip_says_nothing_of_success_or_failure() -> None:
    assert judged([run("skipped", holder_run_id="r"), run("failed")]) == {"skips": None}


def test_skips_fire_behind_one_holder_and_not_behind_several() -> None:
    behind = [run("skipped", holder_run_id="r") for _ in range(3)]
    assert judged(behind) == {"skips": True}
    assert judged([*behind[:2], run("skipped", holder_run_id="other")]) == {"skips": None}
    assert judged([*behind[:2], run(), behind[0]]) == {"skips": None}
    assert judged([run(), *behind])["skips"] is False


@pytest.mark.parametrize(
    ("job", "took_s", "expected"),
    [
        ("sync", 299, set[str]()),
        ("sync", 301, {"slow-run"}),
        ("sync", 481, {"slow-run", "long-run"}),
        ("ingest-branch", 1_799, set[str]()),
        ("ingest-branch", 3_001, {"slow-run", "long-run"}),
        ("work", 9_999, set[str]()),
    ],
)
def test_a_run_is_slow_after_five_minutes_and_long_after_eight_where_its_job_has_no_limit_of_its_own(
    job: str, took_s: float, expected: set[str]
) -> None:
    assert firing([run(took_s=took_s)], job) == expected


def test_a_run_is_unusual_beyond_twice_its_own_p95_once_there_is_enough_history() -> None:
    history = [run(took_s=100 + nth) for nth in range(20)]
    assert firing([run(took_s=240), *history]) == {"unusual-run"}
    assert firing([run(took_s=230), *history]) == set()
    assert "unusual-run" not in judged([run(took_s=240), *history[:19]])
    short = [run(took_s=1)] * 20
    assert firing([run(took_s=59), *short]) == set() and firing([run(took_s=61), *short]) == {"unusual-run"}


def test_degraded_and_rejected_have_one_cause() -> None:
    bad = run(degraded=True, exit_code=3, counts={"read": 100, "rejected": 21})
    found = of_runs([bad], "ingest-branch", "places", DEFAULTS)
    assert firing([bad], "ingest-branch", "places") == {"run-degraded", "rejected-share"}
    assert cause(found, "run-degraded") == cause(found, "rejected-share")
    told = of_runs([bad], "ingest-branch", "places", DEFAULTS, is_told=True)
    assert [each.is_firing for each in told if each.condition == "run-degraded"] == [False]
    assert judged([run(counts={"read": 100, "rejected": 19})])["rejected-share"] is None
    assert judged([run(counts={"read": 100, "rejected": 17})])["rejected-share"] is False


def test_the_failure_rate_counts_what_ended_in_the_window() -> None:
    def rate(*words: str, ago_m: float = 60) -> bool | None:
        return judged([run(word, ago_m=ago_m * nth) for nth, word in enumerate(words)]).get("failure-rate")

    bad, good = "failed", "completed"
    assert rate(bad, bad, bad, good) is None, "four runs are too few"
    assert rate(good, bad, bad, good, bad) is True
    assert rate(bad, bad, bad, bad, bad) is rate(good, bad, bad, bad, bad) is None, "one failure that lasts, or lasted"
    assert rate(good, bad, good, good, bad) is False
    assert rate(good, bad, bad, good, bad, ago_m=24 * 60) is None, "they were on other days"


def test_a_scope_that_completes_ends_what_was_told_of_the_job_as_a_whole() -> None:
    found = of_runs([run()], "ingest-branch", "places", DEFAULTS)
    whole = {each.condition for each in found if each.subject == "ingest-branch" and each.is_firing is False}
    assert {"run-failed", "missed-slot"} <= whole


@pytest.mark.parametrize(
    ("error_class", "expected"),
    [
        ("DatabaseUnavailable", "database"),
        ("Limited", "github"),
        ("DiskFull", "disk"),
        ("SchemaError", "deploy"),
        ("InvalidSettings", "deploy"),
        ("SourceError", "run/ingest-branch/a%2Fb/SourceError"),
        (None, "run/ingest-branch/a%2Fb/Degraded"),
    ],
)
def test_a_cause_is_shared_or_its_own(error_class: str | None, expected: str) -> None:
    assert causes.cause_of(error_class, "ingest-branch", "a/b") == expected


def test_slots_missed_on_one_host_have_one_cause() -> None:
    found = [
        *of_missed_slot("sync", "", "vm1", DEFAULTS, slot="02:00", reason="host down", slot_at=NOW),
        *of_missed_slot("metrics", "", "vm1", DEFAULTS, slot="02:20", reason="host down", slot_at=NOW),
    ]
    assert [each.is_firing for each in found] == [True, True] and len({each.cause for each in found}) == 1


def test_the_success_rate_has_a_floor_and_enough_runs() -> None:
    def verdict(good: int, bad: int) -> list[bool | None]:
        return [each.is_firing for each in of_success_rates([Rate("sync", good, bad)], DEFAULTS, NOW)]

    assert verdict(94, 6) == [True] and verdict(955, 45) == [None] and verdict(97, 3) == [False]
    assert verdict(15, 4) == []


def test_backlogs_branches_and_disks() -> None:
    backlogs = of_backlogs([Backlog("a", 3_601, 5), Backlog("b", 60, 1)], DEFAULTS, NOW)
    assert [(each.subject, each.is_firing) for each in backlogs] == [("queue a", True), ("queue b", False)]
    branches = of_branches([Freshness("a", 90_000, 86_400), Freshness("b", 1, 86_400)], DEFAULTS, NOW)
    assert [each.is_firing for each in branches] == [True, False]
    gib = 1 << 30
    rooms = [
        Room("data", "/a", gib // 2, 100 * gib),
        Room("log", "/b", 4 * gib, 100 * gib),  # a small share of much
        Room("textfile", "/c", gib // 2, 2 * gib),  # little, but a quarter
        Room("other", "/d", gib + gib // 4, 20 * gib),  # between
    ]
    disks = of_disks(rooms, "vm1", DEFAULTS, NOW)
    assert [each.is_firing for each in disks] == [True, False, False, None]
    assert {each.cause for each in disks} == {"disk"}


def test_figures_of_metrics_and_quota() -> None:
    given = [
        Figure("quota-low", "token 1", 0.05, "5 % are left"),
        Figure("quota-low", "token 2", 0.5, "50 % are left"),
        Figure("bug-unassigned", "acme/shop#7", 7_200, "nobody's for 2h"),
        Figure("sla-breach", "acme/shop#8", 1, "breached"),
        Figure("revenue-at-risk", "all projects", 10_001, "10,001 a day"),
        Figure("revenue-at-risk", "acme/shop", 100, "100 a day"),
    ]
    found = of_figures(given, DEFAULTS, NOW)
    assert [each.is_firing for each in found] == [True, False, True, True, True, False]
    assert found[0].cause == causes.GITHUB and found[2].severity == "critical"


def test_a_rule_compares_and_says_nothing_of_what_is_not_known() -> None:
    above = RuleSettings(query="SELECT 1", above=100, summary="late orders")
    below = RuleSettings(query="SELECT 1", below=5)
    ((over,), (at,)) = (of_rule("late", above, value, NOW) for value in (101, 100))
    assert over.is_firing and over.title == "late orders: 101 is above 100" and at.is_firing is False
    ((low,),) = (of_rule("few", below, value, NOW) for value in (4,))
    assert low.is_firing and of_rule("few", below, None, NOW) == []


def test_what_a_complete_look_says_nothing_of_is_over() -> None:
    said = of_backlogs([Backlog("a", 3_500, 5)], DEFAULTS, NOW)
    known = [("queue-backlog", "queue a"), ("queue-backlog", "queue b"), ("run-failed", "sync")]
    left = gone(known, said, ("queue-backlog",), NOW)
    assert [(each.subject, each.is_firing) for each in left] == [("queue b", False)]


@pytest.mark.parametrize("name", CONDITIONS)
def test_each_condition_that_is_off_says_nothing(name: str) -> None:
    off = {**DEFAULTS, name: DEFAULTS[name].model_copy(update={"enabled": False})}
    runs = [run("failed")] * 6
    behind = [run("skipped", holder_run_id="r")] * 3
    history = [run(took_s=5_000, degraded=True, counts={"read": 1, "rejected": 1}), *[run(took_s=1)] * 30]
    often = [Past(NOW - timedelta(weeks=nth), 60_000, {"read": 1_000}) for nth in range(1, 9)]
    odd = run(took_s=600, counts={"read": 5_000, "rejected": 5_000})
    every = [
        *anomalies.of_run(odd, often, "ingest-branch", "places", off, UTC),
        *of_runs(runs, "sync", "", off),
        *of_runs(behind, "sync", "", off),
        *of_runs([run("failed"), run(), run("failed"), run(), run("failed")], "sync", "", off),
        *of_runs(history, "sync", "", off),
        *of_runs([run("timeout"), *runs], "sync", "", off),
        *of_missed_slot("sync", "", "vm1", off, slot="", reason="", slot_at=NOW),
        *of_success_rates([Rate("sync", 0, 100)], off, NOW),
        *of_backlogs([Backlog("a", 9_999, 5)], off, NOW),
        *of_branches([Freshness("a", 90_000, 86_400)], off, NOW),
        *of_disks([Room("data", "/a", 1, 1 << 40)], "vm1", off, NOW),
        *of_mails([Mails("2026-W47", 8, 1, 0, 0, 0)], off, NOW),
        *of_queue_cause("TaskFailures", "", "m", "h", off, NOW),
        *of_queue_cause("FailureRate", "crawl", "m", "h", off, NOW),
    ]
    of_metrics = ("quota-low", "bug-unassigned", "sla-breach", "revenue-at-risk")
    for each in of_metrics:
        every += of_figures([Figure(each, "x", 0 if each == "quota-low" else 1e9, "x")], off, NOW)
    assert {each.condition for each in every if each.is_firing} == CONDITIONS.keys() - {name}


def test_thresholds_come_from_the_settings_and_are_laid_over_the_defaults() -> None:
    alerts = read_alerts(
        {
            "realert_every_s": "1h",
            "conditions": {
                "consecutive-failures": {"after": 5, "severity": "warning", "realert_every_s": "30m"},
                "long-run": {"jobs": {"run/backup": "2h", "work": "4m"}},
                "skips": {"enabled": False},
            },
            "rules": {"late": {"query": "SELECT 1", "above": 3, "timeout_s": "2s"}},
        }
    )
    found = alerts.conditions
    assert found["consecutive-failures"].of("after") == 5 and found["consecutive-failures"].severity == "warning"
    assert found["consecutive-failures"].realert_every_s == 1_800 and alerts.realert_every_s == 3_600
    long_run = found["long-run"]
    assert (long_run.main_for("run", "backup"), long_run.main_for("run", "x"), long_run.main_for("work", "")) == (
        7_200, 0, 240,
    )  # fmt: skip
    assert long_run.main_for("sync", "") == 480 and not found["skips"].enabled
    assert found.keys() == CONDITIONS.keys() and found["max-runtime"] == ConditionSettings(severity="critical")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("yes", "is a table"),
        ({"conditions": {"skip": {}}}, "did you mean skips?"),
        ({"conditions": {"skips": {"afer": 1}}}, "which is not known: after"),
        ({"conditions": {"skips": {"after": "many"}}}, "not a number"),
        ({"conditions": {"long-run": {"over_s": "8 parsecs"}}}, "is not a duration"),
        ({"rules": {"x": {"query": "SELECT 1"}}}, "needs one of above and below"),
        ({"rules": {"X y": {"query": "SELECT 1", "above": 1}}}, "is not a name"),
        ({"rules": {"x": {"query": "SELECT 1", "above": 1, "timeout_s": "1h"}}}, "wrong"),
        ({"keep_undelivered_s": "1h"}, "wrong"),
        ({"emails": ["nobody"]}, "not an e-mail address"),
        ({"runbook_url": "https://x/<!here>"}, "no address"),
        ({"realert_every": "1h"}, "did you mean realert_every_s?"),
    ],
    ids=str,
)
def test_faults_of_the_table_are_told_in_an_operators_words(table: object, said: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is what is asked for
        read_alerts(table)
    assert said in str(raised.value)


def test_a_token_that_is_refused_is_no_limit_of_githubs() -> None:
    assert causes.cause_of("Limited", "sync", "") == causes.GITHUB
    assert causes.cause_of("CredentialsRefused", "sync", "") == causes.own("run", "sync", "", "CredentialsRefused")
