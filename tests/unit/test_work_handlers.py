"""The registry of handlers: entry points, of which a broken one harms nobody but its own tasks."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from jobctl.jobs.work.handlers import Handlers, unusable_notes
from jobctl.queue.handler import GROUP

MODULE = """
def plain(task, context):
    return None

def many(tasks, context):
    return [None for _ in tasks]

many.batch_size = 32
many.version = "m-1"

class Odd:
    batch_size = 0
    def __call__(self, task, context):
        pass

odd = Odd()
number = 17
"""


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, EntryPoint]:
    (tmp_path / "some_handlers.py").write_text(MODULE)
    (tmp_path / "leaving_handlers.py").write_text("raise SystemExit(3)")
    (tmp_path / "broken_handlers.py").write_text("import no_such_module_anywhere")
    monkeypatch.syspath_prepend(str(tmp_path))  # pyright: ignore[reportUnknownMemberType]
    for name in ("some_handlers", "leaving_handlers", "broken_handlers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    values = {
        "plain": "some_handlers:plain",
        "many": "some_handlers:many",
        "odd": "some_handlers:odd",
        "number": "some_handlers:number",
        "absent": "some_handlers:absent",
        "leaving": "leaving_handlers:x",
        "broken": "broken_handlers:x",
    }
    return {name: EntryPoint(name, value, GROUP) for name, value in values.items()}


def test_a_handler_is_found_by_its_type_with_version_and_batch_size(points: dict[str, EntryPoint]) -> None:
    handlers = Handlers(points.values())
    plain, many = handlers.get("plain"), handlers.get("many")
    assert plain is not None and (plain.version, plain.batch_size) == (None, 1)
    assert many is not None and (many.version, many.batch_size) == ("m-1", 32)
    assert handlers.get("plain") is plain
    assert handlers.broken == {}


def test_nothing_is_imported_before_it_is_asked_for(points: dict[str, EntryPoint]) -> None:
    handlers = Handlers(points.values())
    assert handlers.types == tuple(sorted(points))
    assert "some_handlers" not in sys.modules


@pytest.mark.parametrize(
    ("type_", "says"),
    [
        ("broken", "broken_handlers:x: ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("leaving", "leaving_handlers:x: SystemExit: 3"),
        ("absent", "AttributeError"),
        ("number", "it is a int and cannot be called"),
        ("odd", "its batch_size is 0"),
    ],
)
def test_one_that_cannot_be_used_is_named_and_the_others_go_on(
    type_: str, says: str, points: dict[str, EntryPoint]
) -> None:
    handlers = Handlers(points.values())
    assert handlers.get(type_) is None
    assert handlers.get(type_) is None
    assert says in handlers.broken[type_]
    assert unusable_notes(handlers, [type_]) == [
        f"tasks of type {type_!r} wait: its handler cannot be used: {handlers.broken[type_]}"
    ]
    assert handlers.get("plain") is not None


def test_a_type_without_a_handler_has_none() -> None:
    assert Handlers(()).get("nobody") is None


def test_a_type_that_two_register_differently_has_no_handler(points: dict[str, EntryPoint]) -> None:
    twice = Handlers([points["plain"], EntryPoint("plain", "elsewhere:plain", GROUP)])
    assert twice.get("plain") is None
    assert twice.broken["plain"] == "it is registered twice: as some_handlers:plain and as elsewhere:plain"
    same = Handlers([points["plain"], EntryPoint("plain", points["plain"].value, GROUP)])
    assert same.get("plain") is not None
