-- Bugs of these projects that are open at the moment or were closed since, with what their labels say together.
-- The labels of these projects that mean anything: few, whatever issues there are.
WITH meant AS MATERIALIZED (
    SELECT l.label_id, l.node_id AS label_node_id, m.is_bug, m.is_no_bug, m.severity, m.impact, m.pauses
    FROM dev.labels AS l
    JOIN unnest(%(names)s::text[], %(is_bug)s::boolean[], %(is_no_bug)s::boolean[], %(severity)s::integer[],
        %(impact)s::numeric[], %(pauses)s::boolean[]) AS m (name, is_bug, is_no_bug, severity, impact, pauses)
        ON m.name = l.name
    WHERE l.project_id = ANY(%(project_ids)s::bigint[])
-- What the labels were at the moment, the first change after it tells: a label that was put on was not there before, one
-- that was taken away was. Of now there is none.
), later AS MATERIALIZED (
    SELECT DISTINCT ON (e.node_id, e.label_node_id) e.node_id, e.label_node_id, e.is_added
    FROM dev.label_events AS e
    WHERE e.project_id = ANY(%(project_ids)s::bigint[]) AND e.at > %(as_of)s
    ORDER BY e.node_id, e.label_node_id, e.at, e.is_added
-- The same of assignees: who came later was none, who went later was one.
), later_people AS MATERIALIZED (
    SELECT t.node_id, array_agg(t.login) FILTER (WHERE t.is_added) AS came, bool_or(NOT t.is_added) AS has_gone
    FROM (
        SELECT DISTINCT ON (e.node_id, e.login) e.node_id, e.login, e.is_added
        FROM dev.assignee_events AS e
        WHERE e.project_id = ANY(%(project_ids)s::bigint[]) AND e.at > %(as_of)s
        ORDER BY e.node_id, e.login, e.at, e.is_added
    ) AS t
    GROUP BY t.node_id
-- Without bodies and titles, which are read of bugs alone.
), candidates AS MATERIALIZED (
    SELECT i.node_id, i.label_ids
    FROM dev.issues AS i
    WHERE i.project_id = ANY(%(project_ids)s::bigint[]) AND NOT i.is_pull AND i.created_at <= %(as_of)s
        AND i.removal IS DISTINCT FROM 'transferred' AND (i.removed_at IS NULL OR i.removed_at > %(as_of)s)
        AND ((i.state = 'open' AND i.removed_at IS NULL) OR i.closed_at > %(since)s OR i.removed_at > %(as_of)s)
        AND (i.label_ids <> '{}' OR EXISTS (SELECT FROM later AS t WHERE t.node_id = i.node_id))
), said AS (
    SELECT s.node_id, max(s.severity) AS severity, max(s.impact) AS impact, bool_or(s.pauses) AS pauses
    FROM (
        SELECT c.node_id, m.is_bug, m.is_no_bug, m.severity, m.impact, m.pauses
        FROM candidates AS c CROSS JOIN LATERAL unnest(c.label_ids) AS x (label_id) JOIN meant AS m USING (label_id)
        WHERE NOT EXISTS (SELECT FROM later AS t
            WHERE t.node_id = c.node_id AND t.label_node_id = m.label_node_id AND t.is_added)
        UNION ALL
        SELECT c.node_id, m.is_bug, m.is_no_bug, m.severity, m.impact, m.pauses
        FROM later AS t JOIN candidates AS c USING (node_id) JOIN meant AS m USING (label_node_id) WHERE NOT t.is_added
    ) AS s
    GROUP BY s.node_id
    HAVING bool_or(s.is_bug) AND NOT bool_or(s.is_no_bug)
)
SELECT i.node_id, i.project_id, i.number, i.created_at,
    CASE WHEN i.first_response_at <= %(as_of)s THEN i.first_response_at END AS first_response_at,
    CASE WHEN i.closed_at <= %(as_of)s THEN i.closed_at END AS closed_at,
    i.state_reason IS NULL OR i.state_reason NOT IN ('not_planned', 'duplicate') AS is_resolved,
    coalesce(t.has_gone, false) OR NOT i.assignees <@ coalesce(t.came, '{}') AS is_assigned, s.severity, s.impact AS label_impact, s.pauses AS is_paused,
    CASE WHEN i.closed_at <= %(as_of)s THEN NULL
        WHEN position(%(heading)s IN replace(i.body, E'\r', '')) > 0 THEN left(btrim(split_part(split_part(
            replace(i.body, E'\r', ''), %(heading)s, 2), E'\n###', 1), E' \n\t'), 200)
    END AS form_text,
    p.per_day AS imported
FROM said AS s
JOIN dev.issues AS i USING (node_id)
LEFT JOIN later_people AS t USING (node_id)
LEFT JOIN dev.impacts AS p ON p.project_id = i.project_id AND p.number = i.number
