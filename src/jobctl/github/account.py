"""The quota account: what was asked of GitHub, by project and endpoint, and what it cost."""

import threading
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(slots=True)
class Spent:
    """`quota` are requests that counted against the hour's limit (an authorised 304 does not), `points` GraphQL's."""

    requests: int = 0
    unchanged: int = 0
    quota: int = 0
    points: int = 0
    limited: int = 0
    failed: int = 0
    bytes: int = 0

    def add(self, other: "Spent") -> None:
        self.requests += other.requests
        self.unchanged += other.unchanged
        self.quota += other.quota
        self.points += other.points
        self.limited += other.limited
        self.failed += other.failed
        self.bytes += other.bytes


class Line(NamedTuple):
    project: str
    endpoint: str
    spent: Spent


class Account:
    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], Spent] = {}
        self._projects: dict[str, Spent] = {}
        self._lock = threading.Lock()

    def add(self, project: str, endpoint: str, spent: Spent) -> None:
        with self._lock:
            self._lines.setdefault((project, endpoint), Spent()).add(spent)
            self._projects.setdefault(project, Spent()).add(spent)

    def lines(self) -> list[Line]:
        with self._lock:
            return [Line(project, endpoint, spent) for (project, endpoint), spent in sorted(self._lines.items())]

    def total(self, project: str | None = None) -> Spent:
        total = Spent()
        with self._lock:
            for name in self._projects if project is None else self._projects.keys() & {project}:
                total.add(self._projects[name])
        return total
