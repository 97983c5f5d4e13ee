"""Runs side by side, the tree of what came of one, and its lines in a log of any length: pure, or of files alone."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from jobctl.cli.tree import Node, tree_lines
from jobctl.errors import UsageError
from jobctl.monitor.runs import listing, log_lines
from jobctl.monitor.runs.difference import Side, compare
from jobctl.monitor.runs.log_lines import Follower, excerpt

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SIDE = Side(
    job="ingest-branch", scope="north", state="completed", exit_code=0, host="vm1", os_user="ops", version="0.1.0",
    command="jobctl ingest-branch", slot_at=None, duration_ms=1_000, peak_memory_bytes=50_000_000,
    counts={"read": 100, "rejected": 2}, metrics={"rows_per_s": 100.0}, evidence={"rules_version": "a", "list": [1]},
    error_class=None, error_message=None,
)  # fmt: skip


def differing(a: list[Side], b: list[Side]) -> dict[tuple[str, str], tuple[Any, Any, bool]]:
    return {(each.scope, each.name): (each.a, each.b, each.is_notable) for each in compare(a, b) if each.is_different}


def test_a_run_differs_in_nothing_from_its_like() -> None:
    assert not differing([SIDE], [SIDE._replace()])
    assert ("", "list") not in {(each.scope, each.name) for each in compare([SIDE], [SIDE])}


def test_what_differs_is_marked_and_what_differs_by_half_stands_out() -> None:
    other = SIDE._replace(
        state="failed", exit_code=1, version="0.2.0", duration_ms=1_400, counts={"read": 300}, error_class="DataError",
        evidence={"rules_version": "b"}, events={"page_failed": 3},
    )  # fmt: skip
    assert differing([SIDE], [other]) == {
        ("north", "state"): ("completed", "failed", True),
        ("north", "exit_code"): (0, 1, True),
        ("north", "duration_ms"): (1_000, 1_400, False),
        ("north", "version"): ("0.1.0", "0.2.0", True),
        ("north", "read"): (100, 300, True),
        ("north", "rejected"): (2, 0, True),
        ("north", "rules_version"): ("a", "b", True),
        ("north", "page_failed"): (0, 3, True),
        ("north", "class"): (None, "DataError", True),
    }


def test_scopes_are_compared_with_their_like_and_a_missing_one_is_told() -> None:
    south = SIDE._replace(scope="south", duration_ms=5)
    found = differing([SIDE, south], [south._replace(duration_ms=6), SIDE])
    assert set(found) == {("south", "duration_ms")}
    gone = differing([SIDE, south], [SIDE, SIDE._replace(scope="west")])
    assert gone["south", "state"] == ("completed", None, True)
    assert gone["west", "state"] == (None, "completed", True)


def test_a_tree_keeps_its_guides_beside_what_is_wrapped() -> None:
    tree = Node("run", (Node("one two three four five six seven", (Node("below"),)), Node("last of all the things")))
    assert tree_lines(tree, width=24) == [
        "run",
        "├─ one two three four",
        "│  │  five six seven",
        "│  └─ below",
        "└─ last of all the",
        "      things",
    ]


def test_a_cursor_comes_back_and_any_other_word_is_refused() -> None:
    place = listing.Place(NOON, UUID(int=7), "a\nscope")
    assert listing.of_cursor(listing.as_cursor(place)) == place
    for word in ("", "x", "bm9uc2Vuc2U", listing.as_cursor(place)[:20]):
        with pytest.raises(UsageError, match="no cursor"):
            listing.of_cursor(word)


# The log ---------------------------------------------------------------------------------------------------------


def line(at: datetime, run_id: str, number: int) -> str:
    return json.dumps({"time": f"{at:%Y-%m-%dT%H:%M:%S}.000Z", "level": "info", "event": "step", "run_id": run_id,
                       "number": number, "message": ""}) + "\n"  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A day of lines, one a second, of which 100 in its middle are of the run `mine`."""
    path = tmp_path / "jobctl.log"
    middle = range(43_200, 43_300)
    with path.open("w") as file:
        for second in range(86_400):
            file.write(line(NOON + timedelta(seconds=second), "mine" if second in middle else "other", second))
    return path


def test_the_lines_of_a_run_are_found_in_the_middle_of_a_long_log_without_reading_it(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "MOST_BYTES", 1_000_000)  # a tenth of the file
    began = NOON + timedelta(seconds=43_200)
    found = excerpt(log, "mine", began, began + timedelta(seconds=100), limit=10)
    assert [each["number"] for each in found.lines] == list(range(43_290, 43_300))
    assert found.has_earlier and not found.why_not


def test_a_log_that_was_rotated_since_is_read_too_and_one_that_is_not_there_is_told(log: Path) -> None:
    log.rename(log.with_name("jobctl.log.1"))
    began = NOON + timedelta(seconds=43_200)
    log.write_text(line(NOON + timedelta(days=2), "mine", 7))
    found = excerpt(log, "mine", began, None, limit=1_000)
    assert len(found.lines) == 101
    log.unlink()
    assert "there is no" in excerpt(log, "mine", began, began, limit=5).why_not
    nobody = excerpt(log.with_name("jobctl.log.1"), "nobody", began, began, limit=5)
    assert not nobody.lines and "has no line of it" in nobody.why_not


def test_a_log_is_followed_through_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "jobctl.log"
    follower = Follower(path, "mine")
    follower.skip()
    assert follower.new() == []
    whole = line(NOON, "mine", 1)
    path.write_text(whole + line(NOON, "other", 2) + whole[:20])
    assert [each["number"] for each in follower.new()] == [1]
    with path.open("a") as file:
        file.write(whole[20:])
    path.rename(tmp_path / "jobctl.log.1")
    path.write_text(line(NOON, "mine", 3))
    assert [each["number"] for each in follower.new()] == [1, 3]
    follower.close()
