"""What GitHub gave: a page of REST, or the data of a query."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from jobctl.github.etags import Kept


class Found(StrEnum):
    DATA = "data"
    UNCHANGED = "unchanged"  # 304: as it was when its ETag was kept
    EMPTY = "empty"  # 204, and 409 of a repository without a commit
    COMPUTING = "computing"  # 202: GitHub is working statistics out; ask later


class Page(NamedTuple):
    """`data` is there with Found.DATA alone. `keep` goes into the ETag store in the transaction that writes the page's
    rows. `moved_to` is the address that answered, where that is another than was asked."""

    found: Found
    data: Any
    next_url: str | None
    keep: Kept | None
    moved_to: str | None


class GraphQL(NamedTuple):
    """`errors` are those beside data: a node that is gone, say."""

    data: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...]
    points: int
