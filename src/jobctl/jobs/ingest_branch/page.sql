-- The next records of a branch after a change position, each with a verdict, as many as fit the memory limit.
SELECT r.record_no::text, r.record_key, r.source_version::text, r.payload_hash::text,
    CASE WHEN v.verdict = 'judge' AND r.payload_bytes <= %(largest_payload_bytes)s THEN r.payload END,
    i.item_id IS NULL, j.record_no IS NOT NULL, r.payload_bytes, v.verdict, r.changed_xid::text
FROM (
    -- The range of the index; the bound keeps out what is not yet surely committed (see pages.py).
    SELECT *,
        pg_catalog.sum(CASE WHEN payload_bytes <= %(largest_payload_bytes)s THEN payload_bytes ELSE 0 END)
            OVER (ORDER BY changed_xid, record_no ROWS UNBOUNDED PRECEDING) AS running_bytes,
        pg_catalog.row_number() OVER (ORDER BY changed_xid, record_no) AS place
    FROM branch.records
    WHERE branch_id = %(branch_id)s
      AND (changed_xid, record_no) > (%(xid)s::xid8, %(record_no)s::bigint)
      AND changed_xid < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
    ORDER BY changed_xid, record_no
    LIMIT %(batch_size)s
) AS r
LEFT JOIN core.items AS i ON i.item_id = r.record_no
LEFT JOIN branch.rejects AS j ON j.record_no = r.record_no AND j.resolved_at IS NULL
CROSS JOIN LATERAL (
    SELECT {verdict} AS verdict
) AS v
-- A single record may be larger than a batch should be: the first is always taken.
WHERE r.running_bytes <= %(batch_bytes)s OR r.place = 1
ORDER BY r.changed_xid, r.record_no
