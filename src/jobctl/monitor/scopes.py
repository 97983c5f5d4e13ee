"""Which jobs and scopes have a history: what looks at many runs begin with.

The pairs are found by going from one to the next along the index of the history, so it costs a look-up a pair, however
many runs are kept.
"""

from typing import Final

from psycopg import sql

# The pairs of job and scope, in the index's order; a statement goes on behind it. With a limit behind, no further pair
# is looked for.
PAIRS: Final = sql.SQL("""
WITH RECURSIVE pairs AS (
    (SELECT h.job, h.scope FROM ops.job_history AS h ORDER BY h.job, h.scope LIMIT 1)
    UNION ALL
    SELECT n.job, n.scope FROM pairs AS p CROSS JOIN LATERAL (
        SELECT h.job, h.scope FROM ops.job_history AS h
        WHERE (h.job, h.scope) > (p.job, p.scope) ORDER BY h.job, h.scope LIMIT 1
    ) AS n
)
""")
