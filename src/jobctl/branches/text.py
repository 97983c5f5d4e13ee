"""Source bytes as text that PostgreSQL can hold, with nothing lost.

A text column takes neither NUL nor half of a surrogate pair, and a source may send both, as well as bytes that are no
UTF-8 at all. Such characters are written as JSON escapes (\\u0000, \\udcff for the byte 0xff), so that the record is
kept, still parses where it did, and is refused by validation for what it holds, not by the database for all its batch.
"""

import hashlib
import re
from typing import Protocol

RECORD_BYTES = 64 * 1024 * 1024  # of one decoded record; what is longer is kept cut, with a mark
KEPT_BYTES = 64 * 1024  # of a record that is too long
MENDED = 1_000_000  # characters of one record

_BAD = re.compile("[\0\ud800-\udfff]")


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def storable(data: bytes) -> str:
    """The text of a record that is within RECORD_BYTES."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return mended(data.decode(errors="surrogateescape"))
    return mended(text) if "\0" in text else text


def mended(text: str) -> str:
    """`text` with each NUL and lone surrogate as a JSON escape.

    After a single backslash the escape would turn into plain characters (`\\` + `\\u0000` reads as a backslash and
    "u0000"), so a blank goes between: no JSON before, none after."""
    if not _BAD.search(text):
        return text
    out: list[str] = []
    end = 0
    for bad in _BAD.finditer(text):
        before = text[end : bad.start()]
        backslashes = len(before) - len(before.rstrip("\\"))  # of an even number each two are a pair
        out.append(f"{before}{' ' * (backslashes % 2)}\\u{ord(bad[0]):04x}")
        end = bad.end()
        if len(out) > MENDED:  # six characters for one: a record of nothing else would grow over any limit
            whole = text.encode(errors="surrogatepass")
            return cut(whole, len(whole), new_digest(whole))
    return "".join(out) + text[end:]


def cut(start: bytes, size: int, digest: Digest) -> str:
    """What is kept of a record over the limit. The mark ends it as no JSON can end, so that validation refuses it;
    size and digest keep two long records apart and the same one the same."""
    kept = mended(start[:KEPT_BYTES].decode(errors="ignore"))
    return f"{kept} ...(cut by jobctl: {size} bytes, limit {RECORD_BYTES}, blake2b {digest.hexdigest()})"


def new_digest(data: bytes = b"") -> "hashlib.blake2b":
    return hashlib.blake2b(data, digest_size=16)
