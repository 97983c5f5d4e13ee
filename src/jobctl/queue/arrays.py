"""Arrays as PostgreSQL writes them, for statements that take hundreds of rows at once.

They are sent as text and cast where they are used (`%(task_ids)s::text::bigint[]`). That is many times cheaper to write
than what psycopg makes of a list, and the planner does not see how long they are: it always goes by index, row by row,
and never reads a table to join it with a long array.
"""

from collections.abc import Iterable, Sequence

from jobctl.queue.task import Task


def of_numbers(values: Iterable[int | None]) -> str:
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def of_texts(values: Iterable[str | None]) -> str:
    return "{" + ",".join(map(quoted, values)) + "}"


def of_plain_texts(values: Iterable[str]) -> str:
    """Of texts that need no escape: times, numbers, words."""
    return '{"' + '","'.join(values) + '"}'


def quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def of_tries(tasks: Sequence[Task]) -> dict[str, str]:
    """What a try is known by."""
    return {
        "task_ids": of_numbers(task.task_id for task in tasks),
        "fences": of_numbers(task.fence for task in tasks),
        "claimed_at": of_plain_texts(task.claimed_at.isoformat() for task in tasks),
    }
