"""A part of the week that could not be read is told as that, and never as nothing or zero."""

from typing import Any, Final, get_args

import pytest

from bench_report import LINKS, a_report
from jobctl.reports import rendering
from jobctl.reports.decisions import decisions, headline
from jobctl.reports.model import Part, Queue, Report, Some, Sync
from jobctl.reports.unread import NAMES, said

PARTS: Final[tuple[Part, ...]] = get_args(Part)
NOTHING: Final[dict[Part, Any]] = {
    "figures": None,
    "embeddings": None,
    "queue": Queue(0, 0, 0, None, None, None),
    "sync": Sync(0, 0, 0, None),
    **dict.fromkeys(("trend", "paces", "projects", "branches", "jobs"), ()),
    **dict.fromkeys(("bugs", "pulls", "incidents"), Some((), 0)),
}
# What is said where there is nothing.
SAID_OF_NOTHING: Final = (
    *("No figures were kept", "Too few days", "No critical bug is open", "No open pull request", "No project"),
    *("There is no branch", "No run ended", "No incident was open", "there are no items", "of a past week"),
    *("nothing was kept", "no cycle was completed", "no run ended", "there is no branch", "jobctl project add"),
)


def without(*parts: Part) -> Report:
    changes = {part: NOTHING[part] for part in parts}
    if "bugs" in parts:
        changes["unassigned"] = 0
    return a_report(**changes, unread={part: f"because of {part}" for part in parts})


def text_of(report: Report) -> str:
    return " ".join(rendering.text_of(rendering.shown(report, LINKS)).split())


def test_there_is_a_case_for_each_part() -> None:
    assert set(NOTHING) == set(PARTS) == set(NAMES)
    nothing: dict[str, Any] = {**NOTHING, "unassigned": 0}
    lied = text_of(a_report(**nothing))
    assert {each for each in SAID_OF_NOTHING if each not in lied} <= {"Too few days", "there are no items"}


@pytest.mark.parametrize("part", PARTS)
def test_it_is_said_with_its_reason_and_as_no_number(part: Part) -> None:
    report = without(part)
    text = text_of(report)
    first = decisions(report)[0].said
    assert first == f"Not all could be read: {NAMES[part]}. Look again: jobctl report --week 2026-W47 --preview"
    assert first in text and not [each for each in SAID_OF_NOTHING if each in text]
    if part != "sync":  # which has no section
        assert said(report, part) in text and f"because of {part}" in text
    assert report.as_json()[part] is None and report.as_json()["unread"] == {part: f"because of {part}"}
    assert said(a_report(), part) == ""


def test_without_anything_but_the_reasons_it_is_still_a_mail() -> None:
    report = without(*PARTS)
    shown = rendering.shown(report, LINKS)
    text = text_of(report)
    assert not [each for each in SAID_OF_NOTHING if each in text] and not shown.drawn
    assert headline(report) == "the figures could not be read"
    assert {tile.value.text for tile in shown.view.tiles} == {"not known"}
    assert {tile.detail.text for tile in shown.view.tiles} == {"could not be read"}
    told = report.as_json()
    assert {name for name, value in told.items() if value is None} == {
        *PARTS, "health", "unassigned", "success", "runs_kept_since",
    }  # fmt: skip
    assert "Embeddings" not in [fact.label for section in shown.view.sections for fact in section.facts]


def test_a_queue_that_was_not_read_hides_no_embeddings() -> None:
    [section] = [each for each in rendering.shown(without("queue"), LINKS).view.sections if "Queue" in each.title]
    assert [fact.label for fact in section.facts] == ["Embeddings, now"]
    [section] = [each for each in rendering.shown(without("embeddings"), LINKS).view.sections if "Queue" in each.title]
    assert [fact.label for fact in section.facts][:2] == ["Tries in the week", "Tries that failed"]
