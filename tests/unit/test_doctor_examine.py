"""How checks are made together: none ends another, none is waited for without limit, no secret is told."""

import threading
from collections.abc import Iterator
from typing import cast

from jobctl.monitor.doctor import examine, situation
from jobctl.monitor.doctor.examine import Check, Lane
from jobctl.monitor.doctor.finding import SUBJECTS, Finding, NotAsked, as_json, exit_code_of, failed, ok, warning
from jobctl.monitor.doctor.situation import Situation

NOWHERE = cast(Situation, None)
SECRET = "c4n4ry-c4n4ry"


def breaks(_: Situation) -> Iterator[Finding]:
    yield ok("disk.first", "fine")
    raise ValueError(f"{SECRET}\nwas bad")


def asks_nothing(_: Situation) -> Iterator[Finding]:
    raise NotAsked("there is none")
    yield


def is_fine(_: Situation) -> Iterator[Finding]:
    yield ok("runs.fine", "fine")


def look(*lanes: Lane, only: tuple[str, ...] = ()) -> list[Finding]:
    return examine.examine(NOWHERE, lambda text: text.replace(SECRET, "***"), of=lanes, only=only)


def test_a_check_that_breaks_is_a_finding_and_ends_no_other() -> None:
    found = look(Lane((Check("disk.bad", breaks), Check("runs.fine", is_fine))))
    assert [(each.check, each.status) for each in found] == [
        ("disk.first", "ok"),
        ("disk.bad", "failed"),
        ("runs.fine", "ok"),
    ]
    assert "ValueError: *** was bad" in found[1].what


def test_what_cannot_be_asked_is_skipped_with_the_reason() -> None:
    [found] = look(Lane((Check("disk.space", asks_nothing),)))
    assert (found.check, found.status, found.what) == ("disk.space", "skipped", "there is none")


def test_a_check_that_hangs_is_left_behind_and_the_others_are_told() -> None:
    never = threading.Event()

    def hangs(_: Situation) -> Iterator[Finding]:
        yield ok("disk.before", "fine")
        never.wait(60)

    found = look(Lane((Check("disk.hung", hangs),), limit_s=0.2), Lane((Check("runs.fine", is_fine),)))
    never.set()
    assert [(each.check, each.status) for each in found] == [
        ("disk.before", "ok"),
        ("disk.hung", "failed"),
        ("runs.fine", "ok"),
    ]
    assert "no answer within 0.2 s" in found[1].what


def test_a_crontab_that_hangs_holds_nobody_up() -> None:
    never = threading.Event()
    assert situation._within(0.1, lambda: never.wait(60)) is None
    never.set()
    assert situation._within(10, lambda: [1]) == [1]


def test_only_the_subjects_asked_for_are_looked_at() -> None:
    found = look(Lane((Check("disk.bad", breaks), Check("runs.fine", is_fine))), only=("runs",))
    assert [each.check for each in found] == ["runs.fine"]


def test_no_secret_is_told_in_any_text() -> None:
    def tells(_: Situation) -> Iterator[Finding]:
        yield failed("outgoing.mail", f"a {SECRET}", why=f"b {SECRET}", mend=f"c {SECRET}")

    assert SECRET not in str(look(Lane((Check("outgoing.mail", tells),))))


def test_each_check_there_is_has_a_subject_and_a_name_of_its_own() -> None:
    names = [check.name for lane in examine.lanes(sends_test=False) for check in lane.checks]
    assert len(set(names)) == len(names)
    assert {name.partition(".")[0] for name in names} == set(SUBJECTS)


def test_exit_code_and_status_follow_the_worst_finding() -> None:
    fine = ok("disk.a", "")
    warned = warning("disk.b", "", why="", mend="")
    broken = failed("disk.c", "", why="", mend="")
    wrong = failed("settings.d", "", why="", mend="", is_configuration=True)
    for findings, code, status in (
        ([], 0, "ok"),
        ([fine], 0, "ok"),
        ([fine, warned], 0, "warning"),
        ([warned, broken], 1, "failed"),
        ([broken, wrong], 78, "failed"),
    ):
        assert exit_code_of(findings) == code
        assert (as_json(findings)["exit_code"], as_json(findings)["status"]) == (code, status)
    assert as_json([fine, warned])["counts"] == {"ok": 1, "warning": 1, "failed": 0, "skipped": 0}
