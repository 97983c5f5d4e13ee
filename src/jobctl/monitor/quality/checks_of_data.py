"""Checks of records, items, rejects and vectors: nothing is lost between them, and nothing is left over."""

from typing import Final

from psycopg import sql

from jobctl.monitor.quality.check import Check

# What the last completed ingest of a branch has passed. Records behind a transaction that was still open are left to
# the next run, so those of the hour before it began are not judged; nor is a branch whose run goes on.
_PASSED = sql.SQL("""
WITH passed AS (
    SELECT b.branch_id, b.slug, r.started_at - interval '1 hour' AS before FROM branch.branches AS b
    CROSS JOIN LATERAL (
        SELECT h.started_at FROM ops.job_history AS h
        WHERE h.job = 'ingest-branch' AND h.scope = b.slug AND h.status = 'completed'
        ORDER BY h.started_at DESC LIMIT 1
    ) AS r WHERE b.active
)
""")

CHECKS: Final = (
    Check(
        "records-judged",
        "each record that an ingest has passed is an item or an open reject",
        _PASSED
        + sql.SQL("""
SELECT p.slug || ' ' || r.record_key AS example FROM passed AS p
JOIN branch.records AS r ON r.branch_id = p.branch_id AND r.changed_at < p.before AND r.withdrawn_at IS NULL
LEFT JOIN core.items AS i ON i.item_id = r.record_no AND i.withdrawn_at IS NULL
LEFT JOIN branch.rejects AS j ON j.record_no = r.record_no AND j.resolved_at IS NULL
WHERE i.item_id IS NULL AND j.record_no IS NULL
"""),
        "jobctl ingest-branch --full --branch SLUG reads every record again",
        reads=("records", "items", "rejects"),
    ),
    Check(
        "items-have-records",
        "each live item has its record, and that is not withdrawn since before the last ingest",
        _PASSED
        + sql.SQL("""
SELECT 'item ' || i.item_id || ' ' || i.record_key AS example FROM core.items AS i
LEFT JOIN branch.records AS r ON r.record_no = i.item_id
LEFT JOIN passed AS p ON p.branch_id = i.branch_id
WHERE i.withdrawn_at IS NULL AND (r.record_no IS NULL OR r.withdrawn_at < p.before)
"""),
        "jobctl ingest-branch --full --branch SLUG; what is left then is a row that no source has: look at it by hand",
        reads=("items", "records"),
    ),
    Check(
        "items-embedded",
        "each live item has the vector of its present text, or a task that makes it or has failed to",
        """
SELECT 'item ' || i.item_id || ' ' || i.record_key AS example FROM core.items AS i
LEFT JOIN core.embedding_status AS s ON s.item_id = i.item_id AND s.model_version = %(model_version)s
WHERE i.withdrawn_at IS NULL AND coalesce(s.status, 'stale') = 'stale'
""",
        "jobctl embeddings reembed queues what lacks one; then jobctl work --type embed",
        reads=("items", "embeddings", "tasks"),
    ),
    Check(
        "vectors-have-items",
        "no vector outlives its item",
        """
SELECT 'item ' || e.item_id || ' ' || e.model_version AS example FROM core.embeddings AS e
LEFT JOIN core.items AS i ON i.item_id = e.item_id AND i.withdrawn_at IS NULL
WHERE i.item_id IS NULL
""",
        "jobctl db psql: DELETE FROM core.embeddings AS e WHERE NOT EXISTS (SELECT FROM core.items AS i WHERE "
        "i.item_id = e.item_id AND i.withdrawn_at IS NULL)",
        reads=("embeddings", "items"),
    ),
    Check(
        "rejects-have-records",
        "each open reject is of a record that is there",
        """
SELECT 'reject ' || j.reject_id || ' ' || j.record_key AS example FROM branch.rejects AS j
WHERE j.resolved_at IS NULL
  AND (SELECT r.record_no FROM branch.records AS r WHERE r.record_no = j.record_no LIMIT 1) IS NULL
""",
        "jobctl db psql: DELETE FROM branch.rejects of those numbers; their source is gone",
    ),
    # A branch is known by its number alone: from one to the next along an index, however many rows each has.
    Check(
        "rows-have-branches",
        "records, items and rejects are of branches that are there",
        """
WITH RECURSIVE used AS (
    SELECT t.kind, t.branch_id FROM (
        SELECT 'records' AS kind, (SELECT min(r.branch_id) FROM branch.records AS r) AS branch_id
        UNION ALL SELECT 'items', (SELECT min(i.branch_id) FROM core.items AS i)
        UNION ALL SELECT 'rejects', (SELECT min(j.branch_id) FROM branch.rejects AS j)
    ) AS t
    UNION ALL
    SELECT u.kind, CASE u.kind
        WHEN 'records' THEN (SELECT min(r.branch_id) FROM branch.records AS r WHERE r.branch_id > u.branch_id)
        WHEN 'items' THEN (SELECT min(i.branch_id) FROM core.items AS i WHERE i.branch_id > u.branch_id)
        ELSE (SELECT min(j.branch_id) FROM branch.rejects AS j WHERE j.branch_id > u.branch_id) END
    FROM used AS u WHERE u.branch_id IS NOT NULL
)
SELECT u.kind || ' of branch number ' || u.branch_id AS example FROM used AS u
WHERE u.branch_id IS NOT NULL AND NOT EXISTS (SELECT FROM branch.branches AS b WHERE b.branch_id = u.branch_id)
""",
        "jobctl branch remove takes all of a branch; what is left of one must be deleted by hand: jobctl db psql",
    ),
    Check(
        "loads-add-up",
        "rows of a load = inserted + updated + unchanged + stale + duplicates",
        """
SELECT b.slug || ' load ' || l.load_id AS example FROM branch.branches AS b
JOIN branch.loads AS l ON l.branch_id = b.branch_id AND l.loaded_at >= %(since)s
WHERE l.rows <> l.inserted + l.updated + l.unchanged + l.stale + l.duplicates
""",
        "load the file again: jobctl branch load SLUG FILE --full; and tell the maintainers, with the file",
    ),
    Check(
        "branches-fresh",
        "each active branch was loaded within its expected freshness",
        """
SELECT b.slug || ', loaded ' || coalesce(pg_catalog.to_char(b.loaded_at, 'YYYY-MM-DD HH24:MI'), 'never') AS example
FROM branch.branches AS b
WHERE b.active AND coalesce(b.loaded_at, b.created_at) < %(now)s - b.expected_freshness
""",
        "jobctl branch show SLUG; ops/runbooks/branch-stale.md",
    ),
    Check(
        "projects-fresh",
        "each active project without a schedule of its own was synced within two days",
        """
SELECT p.full_name || ', synced ' || coalesce(pg_catalog.to_char(p.synced_at, 'YYYY-MM-DD HH24:MI'), 'never')
    AS example
FROM dev.projects AS p
WHERE p.active AND p.schedule IS NULL AND coalesce(p.synced_at, p.added_at) < %(now)s - interval '2 days'
""",
        "jobctl sync -v; jobctl project show OWNER/REPO tells its last error",
    ),
)
