"""Tasks of a library: three handlers, one for each way in which work is usually made safe."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobctl.queue.handler import Context, NotRecoverable, Recoverable, Snooze
from jobctl.queue.task import Task


def return_book(task: Task, context: Context) -> Mapping[str, Any]:
    """payload {"book": 7}: one transaction, so that it happens once or not at all."""
    book = task.payload.get("book")
    if not isinstance(book, int):
        raise NotRecoverable('the payload names no book: {"book": NUMBER}')
    with context.effect() as conn:
        row = conn.execute("SELECT reader, is_damaged FROM library.loans WHERE book = %s", (book,)).fetchone()
        if row is None:
            raise NotRecoverable(f"book {book} is not lent")
        reader, is_damaged = row
        if is_damaged:
            raise Snooze(3_600, f"book {book} has to be looked at first")
        conn.execute("DELETE FROM library.loans WHERE book = %s", (book,))
        conn.execute("INSERT INTO library.returned (book, reader) VALUES (%s, %s)", (book, reader))
    return {"reader": reader}


def read_shelf(task: Task, context: Context) -> Mapping[str, Any]:
    """payload {"shelf": "A", "books": 90000}: long work in steps, each of which is kept with where it came to."""
    books, read = task.payload["books"], task.checkpoint or 0
    while read < books:
        context.check()  # when the run ends, the next one goes on from the checkpoint
        upto = min(read + 1_000, books)
        with context.effect() as conn:
            conn.execute(
                "INSERT INTO library.read (shelf, book) SELECT %s, n FROM generate_series(%s::int, %s::int) AS n",
                (task.payload["shelf"], read + 1, upto),
            )
            context.save_checkpoint(upto)
        read = upto
    return {"read": read}


def remind(tasks: Sequence[Task], context: Context) -> Sequence[Mapping[str, Any] | Exception]:
    """payload {"reader": "ann"}: many tasks in one call, since one statement for all costs little more than for one."""
    readers = [str(task.payload.get("reader", "")) for task in tasks]
    with context.effect() as conn:
        found = conn.execute("SELECT reader, address FROM library.readers WHERE reader = ANY(%s)", (readers,))
        addresses = dict(found.fetchall())
        conn.cursor().executemany(
            "INSERT INTO library.reminders (reader) VALUES (%s)", [(each,) for each in readers if addresses.get(each)]
        )
    return [
        {"address": addresses[each]}
        if addresses.get(each)
        else Recoverable(f"reader {each!r} has no address yet", retry_after_s=600)
        if each in addresses
        else NotRecoverable(f"there is no reader {each!r}")
        for each in readers
    ]


remind.batch_size = 50
remind.version = "2026-11"
