"""Whether an ending whose COMMIT was answered by silence is there: its try has a row, and it is ours."""

from collections.abc import Sequence

import psycopg

from jobctl.queue.task import Ending

# A try that was rescued has a row as well, which says so. A server that crashed may give a fence a second time.
WRITTEN = """
SELECT a.task_id
FROM unnest(%(task_ids)s::bigint[], %(fences)s::bigint[], %(claimed_at)s::timestamptz[])
    AS e (task_id, fence, claimed_at)
JOIN queue.attempts AS a ON a.task_id = e.task_id AND a.fence = e.fence AND a.claimed_at = e.claimed_at
WHERE a.outcome <> 'crashed'
"""


def written_before(conn: psycopg.Connection, endings: Sequence[Ending]) -> set[int]:
    parameters = {
        "task_ids": [ending.task.task_id for ending in endings],
        "fences": [ending.task.fence for ending in endings],
        "claimed_at": [ending.task.claimed_at for ending in endings],
    }
    return {row[0] for row in conn.execute(WRITTEN, parameters).fetchall()}
