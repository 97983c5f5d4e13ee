-- What becomes of record r beside its item i and its open reject j; the one place that decides it.
CASE
    WHEN r.withdrawn_at IS NOT NULL AND j.record_no IS NULL
        AND (i.item_id IS NULL OR i.withdrawn_at IS NOT NULL) THEN 'gone'
    WHEN r.withdrawn_at IS NOT NULL THEN 'withdraw'
    WHEN i.payload_hash = r.payload_hash AND i.rules = %(rules)s AND i.withdrawn_at IS NULL
        AND j.record_no IS NULL THEN 'unchanged'
    WHEN j.payload_hash = r.payload_hash AND j.rules = %(rules)s THEN 'rejected'
    WHEN i.source_version > r.source_version THEN 'skipped'
    ELSE 'judge'
END
