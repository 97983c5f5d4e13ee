-- Bugs of these projects that are open at the moment or were closed since, with what their labels say together.
-- The labels of these projects that mean anything: few, whatever issues there are.
WITH meant AS MATERIALIZED (
    SELECT l.label_id, m.is_bug, m.is_no_bug, m.severity, m.impact, m.pauses
    FROM dev.labels AS l
    JOIN unnest(%(names)s::text[], %(is_bug)s::boolean[], %(is_no_bug)s::boolean[], %(severity)s::integer[],
        %(impact)s::numeric[], %(pauses)s::boolean[]) AS m (name, is_bug, is_no_bug, severity, impact, pauses)
        ON m.name = l.name
    WHERE l.project_id = ANY(%(project_ids)s::bigint[])
-- Without bodies and titles, which are read of bugs alone.
), candidates AS MATERIALIZED (
    SELECT i.node_id, i.label_ids
    FROM dev.issues AS i
    WHERE i.project_id = ANY(%(project_ids)s::bigint[]) AND NOT i.is_pull AND i.created_at <= %(as_of)s
        AND i.removal IS DISTINCT FROM 'transferred' AND (i.removed_at IS NULL OR i.removed_at > %(as_of)s)
        AND ((i.state = 'open' AND i.removed_at IS NULL) OR i.closed_at > %(since)s OR i.removed_at > %(as_of)s)
        AND i.label_ids <> '{}'
), said AS (
    SELECT c.node_id, max(m.severity) AS severity, max(m.impact) AS impact, bool_or(m.pauses) AS pauses
    FROM candidates AS c CROSS JOIN LATERAL unnest(c.label_ids) AS x (label_id) JOIN meant AS m USING (label_id)
    GROUP BY c.node_id
    HAVING bool_or(m.is_bug) AND NOT bool_or(m.is_no_bug)
)
SELECT i.node_id, i.project_id, i.number, i.created_at,
    CASE WHEN i.first_response_at <= %(as_of)s THEN i.first_response_at END AS first_response_at,
    CASE WHEN i.closed_at <= %(as_of)s THEN i.closed_at END AS closed_at,
    i.state_reason IS NULL OR i.state_reason NOT IN ('not_planned', 'duplicate') AS is_resolved,
    i.assignees <> '{}' AS is_assigned, s.severity, s.impact AS label_impact, s.pauses AS is_paused,
    CASE WHEN i.closed_at <= %(as_of)s THEN NULL
        WHEN position(%(heading)s IN replace(i.body, E'\r', '')) > 0 THEN left(btrim(split_part(split_part(
            replace(i.body, E'\r', ''), %(heading)s, 2), E'\n###', 1), E' \n\t'), 200)
    END AS form_text,
    p.per_day AS imported
FROM said AS s
JOIN dev.issues AS i USING (node_id)
LEFT JOIN dev.impacts AS p ON p.project_id = i.project_id AND p.number = i.number
