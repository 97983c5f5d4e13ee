"""Somebody who watches a run of sync: which projects are in hand, and how far each is."""

from typing import Protocol


class Watch(Protocol):
    """Called from several threads."""

    def all(self, projects: int) -> None: ...

    def step(self, project: str, step: str, rows: int) -> None:
        """`rows` were handled in this step so far."""
        ...

    def end(self, project: str, outcome: str) -> None: ...


class Nobody:
    def all(self, projects: int) -> None:
        pass

    def step(self, project: str, step: str, rows: int) -> None:
        pass

    def end(self, project: str, outcome: str) -> None:
        pass
