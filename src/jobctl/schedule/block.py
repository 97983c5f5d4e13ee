"""Our marked block in a crontab that is somebody else's: put in, replaced and taken out without another byte changed.

    # BEGIN jobctl (jobctl schedule install; 0f3a1b2c4d5e)
    ...
    # END jobctl

The number is a checksum of the lines between the marks, by which a block that was edited by hand is known. The block
stands at the end of the crontab: its assignments (SHELL, MAILTO, ...) hold for every line below them, so that above
other lines it would change what those do. Where the line above had no end, the first mark says that one was added, and
it goes with the block. Pure.
"""

import hashlib
import re
from dataclasses import dataclass

BEGIN = "# BEGIN jobctl"
END = "# END jobctl"
MADE_BY = "jobctl schedule install"
LINE_END_ADDED = "the end of the line above was added"
# A mark may be followed by text; a carriage return is what an editor of another system leaves.
_BEGIN = re.compile(rf"^{BEGIN}(?:[ \t(:].*)?\r?$", re.MULTILINE)
_END = re.compile(rf"^{END}(?:[ \t(:].*)?\r?$", re.MULTILINE)
_SEAL = re.compile(r"; ([0-9a-f]{12})\b")


class BlockError(ValueError):
    """The marks do not stand as they should, so that nobody can tell what is ours; says where and what to do."""


@dataclass(frozen=True, slots=True)
class Block:
    """`start` and `end` are its place in the text, marks and last line end included; `body` is what stands between."""

    start: int
    end: int
    mark: str
    body: str

    @property
    def is_edited(self) -> bool:
        """Whether somebody else than `install` wrote the body, or a part of it."""
        seal = _SEAL.search(self.mark)
        return seal is None or seal[1] != _checksum(self.body)

    @property
    def line_end_was_added(self) -> bool:
        return LINE_END_ADDED in self.mark


def find(text: str) -> Block | None:
    """The block in the text. Raises BlockError for two, or one that is cut in half."""
    begins, ends = list(_BEGIN.finditer(text)), list(_END.finditer(text))
    if not begins and not ends:
        return None
    where = ", ".join(
        f"{name} in line {text.count(chr(10), 0, mark.start()) + 1}"
        for mark, name in sorted([(mark, BEGIN) for mark in begins] + [(mark, END) for mark in ends], key=_position)
    )
    if len(begins) > 1 or len(ends) > 1:
        raise BlockError(f"there is more than one block of jobctl: {where}")
    if not begins or not ends or ends[0].start() < begins[0].start():
        raise BlockError(f"the block of jobctl is cut in half: {where}")
    begin, end = begins[0], ends[0]
    after_mark = text.find("\n", begin.start()) + 1
    after_end = text.find("\n", end.start()) + 1 or len(text)
    return Block(begin.start(), after_end, begin.group(), text[after_mark : end.start()])


def sealed(body: str, *, line_end_added: bool = False) -> str:
    """The block around the body. Alone it is a whole file, for /etc/cron.d."""
    added = f"; {LINE_END_ADDED}" if line_end_added else ""
    return f"{BEGIN} ({MADE_BY}; {_checksum(body)}{added})\n{body}{END}\n"


def install(text: str, body: str) -> str:
    """The text with the block at its end, in place of the one that was there."""
    rest = remove(text)
    line_end_added = bool(rest) and not rest.endswith("\n")
    return rest + ("\n" if line_end_added else "") + sealed(body, line_end_added=line_end_added)


def remove(text: str) -> str:
    """The text without the block."""
    block = find(text)
    if block is None:
        return text
    before, after = text[: block.start], text[block.end :]
    if block.line_end_was_added and not after:
        before = before.removesuffix("\n")
    return before + after


def lines_below(text: str) -> str:
    """What stands below the block, and so runs with the block's assignments."""
    block = find(text)
    return "" if block is None else text[block.end :]


def _position(mark: tuple[re.Match[str], str]) -> int:
    return mark[0].start()


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()[:12]
