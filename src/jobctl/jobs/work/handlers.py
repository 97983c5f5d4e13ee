"""The handlers there are: entry points of the group `jobctl.handlers`, imported when a task of their type is there.

A handler that cannot be imported or is none leaves the tasks of its type waiting, and is named; the others go on.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from jobctl import log
from jobctl.queue import storable
from jobctl.queue.handler import GROUP

LOG = log.get_logger()
MOST_IN_A_BATCH = 10_000


class Registered(NamedTuple):
    """A handler that can be called. With a `batch_size` above 1 it takes a sequence of tasks."""

    type: str
    call: Callable[..., Any]
    version: str | None
    batch_size: int


class NotAHandler(Exception):
    """What stands at an entry point cannot be used."""


class Handlers:
    def __init__(self, points: Iterable[EntryPoint]) -> None:
        self._points: dict[str, EntryPoint] = {}
        self._loaded: dict[str, Registered] = {}
        self._broken: dict[str, str] = {}
        self._batch_sizes: dict[str, int] = {}
        for point in points:
            other = self._points.setdefault(point.name, point)
            if other.value != point.value:
                self._broken[point.name] = f"it is registered twice: as {other.value} and as {point.value}"

    @property
    def types(self) -> tuple[str, ...]:
        """Every type that somebody has registered, also where that is of no use."""
        return tuple(sorted(self._points))

    @property
    def broken(self) -> Mapping[str, str]:
        """Types whose handler cannot be used, as far as that is known yet, and why."""
        return self._broken

    @property
    def batch_sizes(self) -> Mapping[str, int]:
        """Of those that take batches, as far as they are imported."""
        return self._batch_sizes

    def get(self, type_: str) -> Registered | None:
        """The handler of a type, imported now if it was not; None: there is none that can be used."""
        if type_ in self._broken or type_ not in self._points:
            return None
        if type_ not in self._loaded:
            point = self._points[type_]
            try:
                loaded = _registered(type_, point.load())
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a module of somebody else may raise anything
                self._broken[type_] = f"{point.value}: {type(error).__name__}: {storable.message_of(error)}"
                LOG.error("handler_unusable", type=type_, entry_point=point.value, error=error)  # noqa: TRY400
                return None
            self._loaded[type_] = loaded
            if loaded.batch_size > 1:
                self._batch_sizes[type_] = loaded.batch_size
        return self._loaded[type_]


def installed() -> Handlers:
    return Handlers(entry_points(group=GROUP))


def unusable_notes(handlers: Handlers, types: Iterable[str]) -> list[str]:
    return [
        f"tasks of type {type_!r} wait: its handler cannot be used: {handlers.broken[type_]}" for type_ in sorted(types)
    ]


def _registered(type_: str, found: object) -> Registered:
    if not callable(found):
        raise NotAHandler(f"it is a {type(found).__name__} and cannot be called")
    batch_size = getattr(found, "batch_size", 1)
    if not isinstance(batch_size, int) or not 1 <= batch_size <= MOST_IN_A_BATCH:
        raise NotAHandler(f"its batch_size is {batch_size!r}, which is no number from 1 to {MOST_IN_A_BATCH:,}")
    version = getattr(found, "version", None)
    said = None if version is None else storable.text(str(version), storable.LONGEST_NAME)
    return Registered(type_, found, said, batch_size)
