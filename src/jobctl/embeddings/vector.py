"""A vector as bytes: its floats one after the other, four bytes each, as PostgreSQL sends them. Pure.

Every vector has length 1 (`unit`), so that the cosine of two is their product.
"""

import sys
from array import array
from collections.abc import Sequence
from math import isfinite, sqrt
from struct import Struct

Vector = bytes
_LITTLE = sys.byteorder == "little"
_OF_TYPE_VECTOR = Struct("!ihh")  # length, dimensions, unused
_OF_ARRAY = Struct("!iiiiii")  # length, dimensions of the array, has nulls, type of element, elements, first index
_OID_OF_REAL = 700


def dimensions(vector: Vector) -> int:
    return len(vector) // 4


def unit(floats: Sequence[float]) -> Vector:
    """Of the same direction and length 1. Raises ValueError for one without a direction."""
    length = sqrt(sum(x * x for x in floats))
    if not isfinite(length) or length == 0.0:
        raise ValueError("is no direction: all zeros, or not finite")
    packed = array("f", [x / length for x in floats])
    if _LITTLE:
        packed.byteswap()
    return packed.tobytes()


def floats(vector: Vector) -> list[float]:
    unpacked = array("f", vector)
    if _LITTLE:
        unpacked.byteswap()
    return unpacked.tolist()


def literal(vector: Vector) -> str:
    """As text that both pgvector and, with braces for brackets, an array read. Exact: a float has nine digits."""
    return "[" + ",".join(f"{x:.9g}" for x in floats(vector)) + "]"


def as_type_vector(vector: Vector) -> bytes:
    """A field of binary COPY, for a column of pgvector's type."""
    return _OF_TYPE_VECTOR.pack(len(vector) + 4, len(vector) // 4, 0) + vector


def as_array(vector: Vector) -> bytes:
    """A field of binary COPY, for a column of type real[]: before each element stands its length."""
    count = len(vector) // 4
    elements = bytearray(8 * count)
    elements[3::8] = b"\4" * count
    for i in range(4):
        elements[4 + i :: 8] = vector[i::4]
    return _OF_ARRAY.pack(20 + 8 * count, 1, 0, _OID_OF_REAL, count, 1) + elements
