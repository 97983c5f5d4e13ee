"""A tree of sentences as lines of text, wrapped to a width. Pure.

>>> print("\\n".join(tree_lines(Node("run", (Node("rows"), Node("tasks", (Node("queued"),)))), width=80)))
run
├─ rows
└─ tasks
   └─ queued
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NARROWEST = 16


class Node(NamedTuple):
    text: str
    below: Sequence["Node"] = ()


def tree_lines(node: Node, *, width: int) -> list[str]:
    """The node's own text stands at the margin, what is below it on branches."""
    return [*_wrapped(node.text, "", "", width), *_below(node, "", width)]


def _below(node: Node, margin: str, width: int) -> Iterator[str]:
    for number, each in enumerate(node.below, 1):
        is_last = number == len(node.below)
        deeper = margin + ("   " if is_last else "│  ")
        beside = deeper + ("│  " if each.below else "   ")
        yield from _wrapped(each.text, margin + ("└─ " if is_last else "├─ "), beside, width)
        yield from _below(each, deeper, width)


def _wrapped(text: str, first: str, rest: str, width: int) -> list[str]:
    room = max(NARROWEST + len(rest), width)
    lines = textwrap.wrap(
        text, room, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return lines or [first.rstrip()]
