"""Which jobs and scopes have a history, and which have slots: what looks at many of them begins with.

The pairs are found by going from one to the next along the index of the table, so it costs a look-up a pair, however
many rows are kept.
"""

from typing import Final

from psycopg import sql

_PAIRS: Final = sql.SQL("""
WITH RECURSIVE pairs AS (
    (SELECT t.job, t.scope FROM {table} AS t ORDER BY t.job, t.scope LIMIT 1)
    UNION ALL
    SELECT n.job, n.scope FROM pairs AS p CROSS JOIN LATERAL (
        SELECT t.job, t.scope FROM {table} AS t
        WHERE (t.job, t.scope) > (p.job, p.scope) ORDER BY t.job, t.scope LIMIT 1
    ) AS n
)
""")

# The pairs of job and scope, in the index's order; a statement goes on behind it. With a limit behind, no further pair
# is looked for.
PAIRS: Final = _PAIRS.format(table=sql.Identifier("ops", "job_history"))
PAIRS_OF_SLOTS: Final = _PAIRS.format(table=sql.Identifier("ops", "slots"))
