-- A long stretch of a branch's records after a change position, counted by verdict without their payloads.
SELECT count(*) AS scanned,
    count(*) FILTER (WHERE verdict IN ('judge', 'withdraw')) AS work,
    count(*) FILTER (WHERE verdict = 'unchanged') AS unchanged,
    count(*) FILTER (WHERE verdict = 'rejected') AS rejected,
    count(*) FILTER (WHERE verdict = 'skipped') AS skipped,
    coalesce(pg_catalog.sum(payload_bytes) FILTER (WHERE verdict <> 'gone'), 0)::bigint AS bytes,
    -- The last position: arrays compare element by element, so this is the largest pair.
    pg_catalog.max(ARRAY[changed_xid::text::bigint, record_no]) AS last_position
FROM (
    SELECT r.record_no, r.changed_xid, r.payload_bytes,
        {verdict} AS verdict
    FROM branch.records AS r
    LEFT JOIN core.items AS i ON i.item_id = r.record_no
    LEFT JOIN branch.rejects AS j ON j.record_no = r.record_no AND j.resolved_at IS NULL
    WHERE r.branch_id = %(branch_id)s
      AND (r.changed_xid, r.record_no) > (%(xid)s::xid8, %(record_no)s::bigint)
      AND r.changed_xid < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
    ORDER BY r.changed_xid, r.record_no
    LIMIT %(stretch)s
) AS judged
