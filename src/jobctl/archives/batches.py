"""Lines in batches that a short transaction can take: bounded by rows and by bytes. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

ROWS: Final = 2_000
BYTES: Final = 2_000_000


def batches(lines: Iterable[str], *, rows: int = ROWS, size: int = BYTES) -> Iterator[list[str]]:
    """A line that is larger alone is a batch alone."""
    batch: list[str] = []
    held = 0
    for line in lines:
        if batch and (len(batch) >= rows or held + len(line) > size):
            yield batch
            batch, held = [], 0
        batch.append(line)
        held += len(line)
    if batch:
        yield batch
