"""How people write an issue: `octo/cat#12`, or its address copied from a browser. Pure."""

import re
from typing import Final, NamedTuple

from jobctl.errors import UsageError
from jobctl.projects.project import LONGEST_WORD, parse_name

_SHORT: Final = re.compile(r"([^#\s]+)#([1-9][0-9]{0,17})")
_ADDRESS: Final = re.compile(r"(https?://[^/\s]+/[^/\s]+/[^/\s]+)/(?:issues|pull)/([1-9][0-9]{0,17})(?:[/?#]\S*)?")


class IssueName(NamedTuple):
    project: str
    number: int

    def __str__(self) -> str:
        return f"{self.project}#{self.number}"


def parse_issue(text: str) -> IssueName:
    """Raises UsageError."""
    found = _ADDRESS.fullmatch(text.strip()) or _SHORT.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text[:LONGEST_WORD]!r} is no issue", hint="write it as OWNER/REPO#NUMBER")
    return IssueName(parse_name(found[1]), int(found[2]))
