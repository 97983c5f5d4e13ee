-- Claims up to `wanted` tasks from the lanes that are offered. Runs under the admission lock, with a snapshot taken
-- after it was granted, so nobody else starts a task meanwhile: what is counted here as running is all there is.
WITH
-- Every claim up to `seen` that still had tasks running is among `known`, so the entries of ended tries, which the
-- index keeps for as long as anybody's snapshot lives, are never read again.
running AS MATERIALIZED (
    SELECT t.fence, t.user_id, t.type FROM queue.tasks AS t WHERE t.state = 'running' AND t.fence > %(seen)s
    UNION ALL
    SELECT t.fence, t.user_id, t.type FROM queue.tasks AS t
    WHERE t.state = 'running' AND t.fence = ANY (%(known)s::text::bigint[])
),
room AS MATERIALIZED (
    SELECT least(%(wanted)s::bigint, a.free) AS in_all, a.free
    FROM (
        SELECT greatest(min(l.running) - (SELECT count(*) FROM running), 0) AS free
        FROM queue.limits AS l WHERE l.kind = 'all'
    ) AS a
),
-- A rate lets a second's worth begin at once, and is a little slower for that, so that no minute sees more than the
-- rate. What somebody changes just now has no room: a claim waits for nobody.
rates AS MATERIALIZED (
    SELECT p.type, p.step_s, p.next_start_at,
        1 + floor(p.burst - 1 + extract(epoch FROM statement_timestamp()
            - greatest(statement_timestamp(), least(
                coalesce(p.next_start_at, '-infinity'), statement_timestamp() + interval '1 hour'))
        )::float8 / p.step_s)::bigint AS room
    FROM (
        SELECT l.name AS type, l.next_start_at, greatest(1, floor(l.rate_per_minute / 60)) AS burst,
            60 / (l.rate_per_minute - greatest(1, floor(l.rate_per_minute / 60)) + 1) AS step_s
        FROM queue.limits AS l
        WHERE l.kind = 'type' AND l.rate_per_minute IS NOT NULL AND l.name = ANY (%(types)s::text::text[])
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS p
),
rooms_of_types AS MATERIALIZED (
    SELECT l.name AS type,
        least(
            l.running - coalesce(r.running, 0),
            CASE WHEN l.rate_per_minute IS NOT NULL THEN coalesce(p.room, 0) END
        ) AS room
    FROM queue.limits AS l
    LEFT JOIN (SELECT t.type, count(*) AS running FROM running AS t GROUP BY t.type) AS r ON r.type = l.name
    LEFT JOIN rates AS p ON p.type = l.name
    WHERE l.kind = 'type'
),
-- What is offered, in the order of the users' turns, with the room that user and type have. All lanes of a user have
-- its place; `nth` counts those users who can have something.
lanes AS MATERIALIZED (
    SELECT o.lane, o.place, o.user_id, o.type, o.rank, o.task_id, o.until, o.room_of_user, o.room_of_type, o.is_open,
        dense_rank() OVER (PARTITION BY o.is_open ORDER BY o.place) AS nth
    FROM (
        SELECT f.lane, f.place, f.user_id, f.type, f.rank, f.task_id, f.until, f.room_of_user, f.room_of_type,
            f.room_of_user > 0 AND coalesce(f.room_of_type, 1) > 0 AS is_open
        FROM (
            SELECT a.lane, a.place, a.user_id, a.type, a.rank, a.task_id, y.room AS room_of_type,
                CASE WHEN a.late THEN 'infinity' ELSE statement_timestamp() AT TIME ZONE 'UTC' END AS until,
                CASE WHEN a.user_id = '' THEN m.in_all
                    ELSE coalesce(coalesce(u.running, e.running) - coalesce(r.running, 0), m.in_all) END AS room_of_user
            FROM unnest(
                %(places)s::text::integer[], %(users)s::text::text[], %(types)s::text::text[],
                %(ranks)s::text::timestamp[], %(task_ids)s::text::bigint[], %(late)s::text::boolean[]
            ) WITH ORDINALITY AS a (place, user_id, type, rank, task_id, late, lane)
            CROSS JOIN room AS m
            LEFT JOIN (
                SELECT t.user_id, count(*) AS running FROM running AS t GROUP BY t.user_id
            ) AS r ON r.user_id = a.user_id
            LEFT JOIN queue.limits AS u ON u.kind = 'user' AND u.name = a.user_id
            LEFT JOIN queue.limits AS e ON e.kind = 'each_user'
            LEFT JOIN rooms_of_types AS y ON y.type = a.type
        ) AS f
    ) AS o
),
-- How many users are looked at, and for how many tasks each. With few users it is about twice as many as are wanted, so
-- that who has much to do fills up for who has little.
share AS MATERIALIZED (
    SELECT least(max(l.nth), g.users) AS users,
        CASE WHEN max(l.nth) < g.users THEN (2 * g.in_all + max(l.nth) - 1) / max(l.nth) ELSE %(turn)s END AS of_user
    FROM lanes AS l
    CROSS JOIN (SELECT m.in_all, (m.in_all + %(turn)s - 1) / %(turn)s AS users FROM room AS m) AS g
    WHERE l.is_open
    GROUP BY g.in_all, g.users
),
-- A lane is looked at for 200 rows more than are wanted and no further. Rows that somebody holds are passed over; what
-- the snapshot shows otherwise than it is by now is judged as it is.
probed AS MATERIALIZED (
    SELECT l.lane, l.place, l.type, l.room_of_user, l.room_of_type, p.rank, p.task_id, p.row_at
    FROM lanes AS l
    CROSS JOIN LATERAL (
        SELECT t.task_id, t.ctid AS row_at, w.rank
        FROM (
            SELECT q.ctid AS row_at, q.scheduled_at AT TIME ZONE 'UTC' - q.priority * interval '10 minutes' AS rank
            FROM queue.tasks AS q
            WHERE q.state = 'queued' AND q.user_id = l.user_id AND q.type = l.type
                AND (q.scheduled_at AT TIME ZONE 'UTC' - q.priority * interval '10 minutes', q.task_id)
                    > (l.rank, l.task_id)
                AND q.scheduled_at AT TIME ZONE 'UTC' - q.priority * interval '10 minutes' <= l.until
            ORDER BY q.scheduled_at AT TIME ZONE 'UTC' - q.priority * interval '10 minutes', q.task_id
            LIMIT %(wanted)s::bigint + 200
        ) AS w
        JOIN queue.tasks AS t ON t.ctid = w.row_at
        WHERE t.state = 'queued' AND t.scheduled_at <= statement_timestamp()
        LIMIT least(
            l.room_of_type,
            CASE WHEN l.user_id = '' THEN l.room_of_user
                ELSE least(l.room_of_user, (SELECT h.of_user FROM share AS h)) END
        )
        FOR UPDATE OF t SKIP LOCKED
    ) AS p
    WHERE l.is_open AND l.nth <= (SELECT h.users FROM share AS h)
),
-- First tasks of all users, then second ones, as far as the types and all together have room.
chosen AS MATERIALIZED (
    SELECT b.row_at
    FROM (
        SELECT a.row_at, a.place, a.turn, a.room_of_type,
            row_number() OVER (PARTITION BY a.type ORDER BY a.turn, a.place) AS nth_of_type
        FROM (
            SELECT p.row_at, p.place, p.type, p.room_of_user, p.room_of_type,
                row_number() OVER (PARTITION BY p.place ORDER BY p.rank, p.task_id) AS turn
            FROM probed AS p
        ) AS a
        WHERE a.turn <= a.room_of_user
    ) AS b
    WHERE b.nth_of_type <= coalesce(b.room_of_type, b.nth_of_type)
    ORDER BY b.turn, b.place
    LIMIT (SELECT m.in_all FROM room AS m)
),
claim AS MATERIALIZED (
    SELECT nextval('queue.fences') AS fence, clock_timestamp() AS at
),
taken AS (
    UPDATE queue.tasks AS t
    SET state = 'running', attempts = t.attempts + 1, fence = (SELECT c.fence FROM claim AS c),
        lease_until = (SELECT c.at FROM claim AS c) + make_interval(secs => %(lease_s)s),
        claimed_at = (SELECT c.at FROM claim AS c),
        updated_at = statement_timestamp(), worker = %(worker)s, worker_run_id = %(run_id)s
    WHERE t.ctid = ANY (ARRAY(SELECT c.row_at FROM chosen AS c))
    RETURNING t.task_id, t.type, t.user_id, t.organization_id, t.site_url, t.payload, t.subject_id, t.dedupe_key,
        t.model_version, t.content_hash, t.attempts, t.crashes, t.checkpoint, t.scheduled_at,
        t.scheduled_at AT TIME ZONE 'UTC' - t.priority * interval '10 minutes' AS rank
),
paced AS (
    UPDATE queue.limits AS l
    SET next_start_at = greatest((SELECT c.at FROM claim AS c), p.next_start_at)
        + k.started * p.step_s * interval '1 second'
    FROM rates AS p
    JOIN (SELECT t.type, count(*) AS started FROM taken AS t GROUP BY t.type) AS k ON k.type = p.type
    WHERE l.kind = 'type' AND l.name = p.type
),
-- Lanes in which nothing was found, with how far they were looked at if they may go on behind that.
empty AS MATERIALIZED (
    SELECT n.lane, f.rank, f.task_id
    FROM (
        SELECT l.lane, l.user_id, l.type, l.rank, l.task_id, l.until FROM lanes AS l
        WHERE l.is_open AND l.nth <= (SELECT h.users FROM share AS h)
            AND l.lane NOT IN (SELECT p.lane FROM probed AS p)
    ) AS n
    LEFT JOIN LATERAL (
        SELECT q.task_id, q.scheduled_at AT TIME ZONE 'UTC' - q.priority * interval '10 minutes' AS rank
        FROM queue.tasks AS q
        WHERE q.state = 'queued' AND q.user_id = n.user_id AND q.type = n.type
            AND (q.scheduled_at AT TIME ZONE 'UTC' - q.priority * interval '10 minutes', q.task_id)
                > (n.rank, n.task_id)
            AND q.scheduled_at AT TIME ZONE 'UTC' - q.priority * interval '10 minutes' <= n.until
        ORDER BY q.scheduled_at AT TIME ZONE 'UTC' - q.priority * interval '10 minutes', q.task_id
        LIMIT 1 OFFSET %(wanted)s::bigint + 199
    ) AS f ON true
)
-- One row a task; the first one also carries what is the same for all and what the claimer keeps for its next claim.
SELECT t.task_id, t.type, t.user_id, t.organization_id, t.site_url, t.payload::text, t.subject_id, t.dedupe_key,
    t.model_version, t.content_hash, t.attempts, t.crashes, t.checkpoint::text, greatest(t.scheduled_at, 'epoch'),
    t.rank::text,
    CASE WHEN row_number() OVER (ORDER BY t.rank, t.task_id) = 1 THEN s.finding END,
    CASE WHEN row_number() OVER (ORDER BY t.rank, t.task_id) = 1 THEN s.at END
FROM (
    SELECT json_build_array(
        c.fence,
        (SELECT m.free FROM room AS m),
        (SELECT min(l.place) FROM lanes AS l WHERE l.is_open AND l.nth = (SELECT h.users FROM share AS h)),
        ARRAY(SELECT DISTINCT l.place FROM lanes AS l WHERE l.room_of_user <= 0),
        ARRAY(SELECT y.type FROM rooms_of_types AS y WHERE y.room <= 0),
        ARRAY(SELECT json_build_array(e.lane, e.rank::text, e.task_id) FROM empty AS e),
        ARRAY(SELECT DISTINCT r.fence FROM running AS r)::text
    ) AS finding, c.at
    FROM claim AS c
) AS s
LEFT JOIN taken AS t ON true
ORDER BY t.rank, t.task_id
