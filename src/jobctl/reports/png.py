"""A PNG made smaller, without loss: its pixels are packed once more and better. Pure.

What draws packs for speed; a chart is a third of that when it is packed for size, which takes some milliseconds.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def packed(png: bytes) -> bytes:
    """The same picture, or the same bytes where they are no PNG or would not be fewer."""
    if not png.startswith(SIGNATURE):
        return png
    chunks = list(_chunks(png))
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    smaller = SIGNATURE
    for nth, (kind, data) in enumerate(chunks):
        if kind != b"IDAT":
            smaller += _chunk(kind, data)
        elif chunks[nth - 1][0] != b"IDAT":  # the first of them takes all
            smaller += _chunk(kind, zlib.compress(pixels, 9))
    return smaller if len(smaller) < len(png) else png


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
