"""Arrays as PostgreSQL writes them, for statements that take hundreds of rows at once.

They are sent as text and cast where they are used (`%(task_ids)s::text::bigint[]`). That is many times cheaper to write
than what psycopg makes of a list, and the planner does not see how long they are: it always goes by index, row by row,
and never reads a table to join it with a long array.
"""

from collections.abc import Sequence
from typing import cast

from jobctl.queue.task import Task


def of_numbers(values: Sequence[int | None]) -> str:
    """None among all of them: an empty array, which `unnest` fills up beside longer ones."""
    if None not in values:
        return "{" + ",".join(map(str, values)) + "}"
    if not any(value is not None for value in values):
        return "{}"
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def of_texts(values: Sequence[str | None]) -> str:
    """None among all of them: an empty array, which `unnest` fills up beside longer ones."""
    if None not in values:
        joined = '","'.join(cast("Sequence[str]", values))
        if "\\" not in joined and joined.count('"') == 2 * len(values) - 2:
            return '{"' + joined + '"}'
    elif not any(value is not None for value in values):
        return "{}"
    return "{" + ",".join(map(_quoted, values)) + "}"


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def of_tries(tasks: Sequence[Task]) -> dict[str, str]:
    """What a try is known by. Tasks of one claim share the moment."""
    moments = {task.claimed_at for task in tasks}
    texts = {moment: moment.isoformat() for moment in moments}
    return {
        "task_ids": of_numbers([task.task_id for task in tasks]),
        "fences": of_numbers([task.fence for task in tasks]),
        "claimed_at": of_texts([texts[task.claimed_at] for task in tasks]),
    }
