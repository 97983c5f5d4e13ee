"""Kinds of tasks that are claimed together take turns."""

from jobctl.jobs.work.kinds import Kind, Kinds

TYPES = ["crawl", "embed", "http", "remind"]
BATCHES = {"embed": 250, "remind": 50}
SINGLE = Kind(("crawl", "http"), 1)


def test_types_of_batches_are_claimed_by_themselves_and_all_others_together() -> None:
    kinds = Kinds().in_turn(TYPES, BATCHES, TYPES)
    assert sorted(kinds) == [SINGLE, Kind(("embed",), 250), Kind(("remind",), 50)]
    assert Kinds().in_turn(["embed"], BATCHES, TYPES) == [Kind(("embed",), 250)]


def test_who_was_asked_longest_ago_is_asked_first() -> None:
    kinds = Kinds()
    asked: list[Kind] = []
    for _ in range(6):
        asked.append(kinds.in_turn(TYPES, BATCHES, TYPES)[0])
        kinds.was_asked(asked[-1])
    assert asked[:3] == asked[3:]
    assert len(set(asked)) == 3


def test_what_has_nothing_waiting_is_asked_last() -> None:
    kinds = Kinds()
    for _ in range(3):
        first, *others = kinds.in_turn(TYPES, BATCHES, ["http"])
        kinds.was_asked(first)
        assert first == SINGLE
        assert len(others) == 2
