"""Judging a page: from rows to the lines and counts of one batch. Pure: no database, no clock.

Each record ends as a line of COPY text (new, or known and to be merged) or as a reject; one bad record never takes its
batch along.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobctl.items.copy_text import content_hash, copy_field, item_text
from jobctl.items.item import Item
from jobctl.items.record import Reason, Rejection, Valid, Validator
from jobctl.jobs.ingest_branch.pages import Page


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is the same for every item of a run, as COPY text."""

    branch_id: str
    run_id: str
    rules: str


@dataclass(frozen=True, slots=True)
class Reject:
    record_no: int
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes. `new_ids` are those of `new_items`."""

    page: Page
    new_items: str
    new_ids: Sequence[str]
    known_items: str
    known_count: int
    rejects: Sequence[Reject]
    accepted_again: Sequence[int]


def judge(page: Page, validator: Validator, normalise: Callable[[Valid], Item], stamp: Stamp) -> Batch:
    """Validate and normalise every record of the page that needs it."""
    new_items: list[str] = []
    new_ids: list[str] = []
    known_items: list[str] = []
    rejects: list[Reject] = []
    accepted_again: list[int] = []
    validate = validator.validate
    branch_id, tail = stamp.branch_id, f"{stamp.rules}\t{stamp.run_id}"
    for row in page.to_judge:
        record_no, key, source_version, payload_hash, payload, is_new, has_reject, size, _, _ = row
        judged = _too_large(size) if payload is None else validate(payload)
        if judged.__class__ is Rejection:
            rejects.append(Reject(int(record_no), judged))  # pyright: ignore[reportArgumentType]  # narrowed by class
            continue
        text = item_text(normalise(judged))  # pyright: ignore[reportArgumentType]  # narrowed by class
        digest = content_hash(text)
        key_text = key if key.isalnum() else copy_field(key)
        line = f"{record_no}\t{branch_id}\t{key_text}\t{source_version}\t{payload_hash}\t{digest}\t{tail}\t{text}\n"
        if is_new:
            new_items.append(line)
            new_ids.append(record_no)
        else:
            known_items.append(line)
        if has_reject:
            accepted_again.append(int(record_no))
    return Batch(
        page=page,
        new_items="".join(new_items),
        new_ids=new_ids,
        known_items="".join(known_items),
        known_count=len(known_items),
        rejects=rejects,
        accepted_again=accepted_again,
    )


def _too_large(size: int) -> Rejection:
    return Rejection(Reason.TOO_LARGE, "", f"the record has {size} bytes")
