"""What the envelope asks of whoever knows the schedule: may this start work, what was missed, and what became of it.

The schedule is a package of its own on this floor; the command line brings the two together.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import psycopg

from jobctl.runtime.outcome import CatchUp, ScopeReport


class Refusal(Protocol):
    """A start that rightly does nothing."""

    @property
    def why(self) -> str: ...
    @property
    def evidence(self) -> Mapping[str, object]: ...


class Missed(Protocol):
    """A slot that nobody answered for."""

    @property
    def job(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def slot_at(self) -> datetime: ...
    @property
    def slot_local(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Expectations(Protocol):
    """The slot ledger, as one start sees it."""

    def begin(self, conn: psycopg.Connection) -> Refusal | None:
        """Take this start's slot. A refusal: the job is paused, or another run has the slot."""
        ...

    def judge(self, conn: psycopg.Connection) -> Sequence[Missed]:
        """Give every slot that has passed its verdict; the newly missed ones."""
        ...

    def end(self, conn: psycopg.Connection, scopes: Sequence[ScopeReport]) -> Sequence[CatchUp]:
        """Say what became of the slot, and what is to be caught up."""
        ...
