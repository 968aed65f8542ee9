-- What administrators do to many subscriptions at once.
--
-- As in delivery.sql the statements leave the planner no choice of order: rows are found by = ANY of a list or by
-- LATERAL subqueries with OFFSET 0. Lists of subscriptions are in order, so that width_bucket finds places.
--
-- Nothing here waits for a subscription that somebody else has locked while it has locked others itself: a sender
-- process that writes back locks hundreds, in another order, and the two would wait for each other.

-- Where somebody has to be waited for, not for long: see above. Until the end of the transaction.
-- name: repair_hurry
SELECT set_config('lock_timeout', '100ms', true)

-- A message for each of these that is ready and still where it was seen: how many these were, how many deliveries
-- were made, and for whom. One that is missing there had a delivery under way.
-- name: repair_enqueue
WITH wanted AS MATERIALIZED (
    SELECT s.id
    FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[]) AS w (id, messageset_id, schedule_id, sequence_number)
    CROSS JOIN LATERAL (
        SELECT id
        FROM subscription
        WHERE id = w.id
            AND messageset_id = w.messageset_id
            AND schedule_id = w.schedule_id
            AND next_sequence_number = w.sequence_number
            AND active
            AND NOT completed
            AND process_status = 0
        OFFSET 0
    ) s
),
queued AS (
    INSERT INTO delivery_queue (subscription_id, created_at)
    SELECT id, $5::timestamptz
    FROM wanted
    ORDER BY id
    ON CONFLICT (subscription_id) DO NOTHING
    RETURNING subscription_id
)
SELECT (SELECT count(*) FROM wanted), count(*), coalesce(array_agg(subscription_id), '{}')
FROM queued

-- Takes out again what the statement before put in ($5), where the subscription moved just before that.
-- name: repair_withdraw
DELETE FROM delivery_queue q
WHERE q.subscription_id = ANY ($5::uuid[])
    AND NOT EXISTS (
        SELECT
        FROM subscription s
        WHERE s.id = q.subscription_id
            AND s.messageset_id = ($2::integer[])[width_bucket(q.subscription_id, $1::uuid[])]
            AND s.schedule_id = ($3::integer[])[width_bucket(q.subscription_id, $1::uuid[])]
            AND s.next_sequence_number = ($4::integer[])[width_bucket(q.subscription_id, $1::uuid[])]
            AND s.active
            AND NOT s.completed
            AND s.process_status = 0
        OFFSET 0
    )

-- How many of these have a delivery under way.
-- part: under_way
SELECT count(*)
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN LATERAL (
    SELECT
    FROM delivery_queue
    WHERE subscription_id = w.id
    OFFSET 0
) q

-- name: repair_under_way
-- use: under_way

-- Moves those that are ready, still where they were seen, and in nobody's hands, and makes what follows on those that are completed.
-- A delivery under way would send the message of the place that its subscription is moved to, ahead of time.
--   $1..$4 subscription, and where it was seen; $5 where it goes, $6 whether it is completed there
--   $7..$12 follow-on subscriptions: place of the one they follow in $1, set, schedule, number, completed, since when
--   $13 now
-- name: repair_forward
WITH seen AS MATERIALIZED (
    SELECT w.place, s.id
    FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
        WITH ORDINALITY AS w (id, messageset_id, schedule_id, sequence_number, place)
    LEFT JOIN LATERAL (
        SELECT id
        FROM subscription
        WHERE id = w.id
            AND messageset_id = w.messageset_id
            AND schedule_id = w.schedule_id
            AND next_sequence_number = w.sequence_number
            AND active
            AND NOT completed
            AND process_status = 0
            AND NOT EXISTS (SELECT FROM delivery_queue WHERE subscription_id = w.id)
        FOR NO KEY UPDATE SKIP LOCKED
        OFFSET 0
    ) s ON true
),
there AS MATERIALIZED (
    SELECT array_agg(id IS NOT NULL ORDER BY place) AS same
    FROM seen
),
moved AS (
    UPDATE subscription s
    SET next_sequence_number = ($5::integer[])[width_bucket(s.id, $1::uuid[])],
        completed = ($6::boolean[])[width_bucket(s.id, $1::uuid[])],
        active = NOT ($6::boolean[])[width_bucket(s.id, $1::uuid[])],
        process_status = CASE WHEN ($6::boolean[])[width_bucket(s.id, $1::uuid[])] THEN 2 ELSE 0 END,
        updated_at = $13::timestamptz
    WHERE s.id = ANY (ARRAY(SELECT id FROM seen WHERE id IS NOT NULL))
    RETURNING s.completed
),
followed AS (
    INSERT INTO subscription (identity, messageset_id, schedule_id, lang, next_sequence_number, active, completed, process_status,
        created_at, updated_at)
    SELECT s.identity, f.messageset_id, f.schedule_id, s.lang, f.sequence_number, NOT f.complete, f.complete,
        CASE WHEN f.complete THEN 2 ELSE 0 END, f.created_at, $13::timestamptz
    FROM unnest($7::integer[], $8::integer[], $9::integer[], $10::integer[], $11::boolean[], $12::timestamptz[])
        AS f (place, messageset_id, schedule_id, sequence_number, complete, created_at)
    CROSS JOIN LATERAL (
        SELECT identity, lang
        FROM subscription
        WHERE id = ($1::uuid[])[f.place]
        OFFSET 0
    ) s
    WHERE (SELECT t.same[f.place] FROM there t)
    RETURNING id
)
SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM moved WHERE completed), (SELECT count(*) FROM followed), (
-- use: under_way
)

-- name: repair_messageset
SELECT id
FROM messageset
WHERE id::text = $1
    OR short_name = $1
ORDER BY id::text = $1 DESC
LIMIT 1

-- name: repair_active
SELECT count(*)
FROM subscription
WHERE active
    AND NOT completed
    AND ($1::integer IS NULL OR messageset_id = $1::integer)

-- Those that stand still with a process_status ($1), by message set.
-- name: repair_stuck
SELECT t.id, t.short_name, count(*), min(s.updated_at), max(s.updated_at)
FROM subscription s
JOIN messageset t ON t.id = s.messageset_id
WHERE s.active
    AND NOT s.completed
    AND s.process_status = $1::integer
    AND ($2::integer IS NULL OR s.messageset_id = $2::integer)
GROUP BY t.id
ORDER BY t.id

-- The next of them become ready: how many, and the last.
-- name: repair_reset
WITH picked AS MATERIALIZED (
    SELECT id
    FROM subscription
    WHERE active
        AND NOT completed
        AND process_status = $1::integer
        AND ($2::integer IS NULL OR messageset_id = $2::integer)
        AND id > $3::uuid
    ORDER BY id
    LIMIT 5000
    FOR NO KEY UPDATE SKIP LOCKED
),
reset AS (
    UPDATE subscription
    SET process_status = 0,
        updated_at = $4::timestamptz
    WHERE id = ANY (ARRAY(SELECT id FROM picked))
    RETURNING id
)
SELECT (SELECT count(*) FROM reset), (SELECT id FROM picked ORDER BY id DESC LIMIT 1)

-- Duplicates among the subscriptions of the next identities behind $1: alike in the fields asked for ($3..$9), and made
-- within $2 seconds of another one of them before. Each comes with the first of those that it belongs to, which is
-- kept. Every row tells how many were looked at, and the last identity; without duplicates there is one, for that.
-- name: repair_duplicates
WITH part AS MATERIALIZED (
    SELECT id, identity, messageset_id, schedule_id, lang, next_sequence_number, created_at,
        ROW(identity, CASE WHEN $3::boolean THEN version END, CASE WHEN $4::boolean THEN messageset_id END,
            CASE WHEN $5::boolean THEN schedule_id END, CASE WHEN $6::boolean THEN lang END,
            CASE WHEN $7::boolean THEN initial_sequence_number END, CASE WHEN $8::boolean THEN next_sequence_number END,
            CASE WHEN $9::boolean THEN process_status END) AS alike
    FROM subscription
    WHERE active
        AND NOT completed
        AND identity > $1::text
    ORDER BY identity
    FETCH FIRST 5000 ROWS WITH TIES
),
stepped AS (
    SELECT *, created_at - lag(created_at) OVER (PARTITION BY alike ORDER BY created_at, id) <= $2::bigint * interval '1 second' AS near
    FROM part
    -- Most have one, and need not be compared.
    WHERE identity IN (SELECT identity FROM part GROUP BY identity HAVING count(*) > 1)
),
flocked AS (
    SELECT *, count(*) FILTER (WHERE near IS NOT TRUE) OVER (PARTITION BY alike ORDER BY created_at, id) AS flock
    FROM stepped
),
judged AS (
    SELECT id, identity, messageset_id, schedule_id, lang, next_sequence_number, created_at, near,
        first_value(id) OVER (PARTITION BY alike, flock ORDER BY created_at, id) AS kept,
        round(extract(epoch FROM created_at - first_value(created_at) OVER (PARTITION BY alike, flock ORDER BY created_at, id)), 3) AS seconds_after
    FROM flocked
)
SELECT c.looked_at, c.last, j.id, j.kept, j.seconds_after, j.identity, j.messageset_id, j.schedule_id, j.lang, j.next_sequence_number, j.created_at
FROM (SELECT count(*) AS looked_at, max(identity) AS last FROM part) c
LEFT JOIN judged j ON j.near
ORDER BY j.identity, j.created_at, j.id

-- Removes duplicates ($1) where the one that is kept ($2) is still going on: how many, and how many are left because
-- somebody has locked them.
-- name: repair_remove_duplicates
WITH wanted AS MATERIALIZED (
    SELECT w.id, w.kept
    FROM unnest($1::uuid[], $2::uuid[]) AS w (id, kept)
    CROSS JOIN LATERAL (
        SELECT
        FROM subscription
        WHERE id = w.id
            AND active
            AND NOT completed
        OFFSET 0
    ) d
    CROSS JOIN LATERAL (
        SELECT
        FROM subscription
        WHERE id = w.kept
            AND active
            AND NOT completed
        OFFSET 0
    ) k
),
locked AS MATERIALIZED (
    SELECT w.id
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT
        FROM subscription
        WHERE id = w.kept
            AND active
            AND NOT completed
        FOR KEY SHARE SKIP LOCKED
        OFFSET 0
    ) k
    CROSS JOIN LATERAL (
        SELECT
        FROM subscription
        WHERE id = w.id
            AND active
            AND NOT completed
        FOR UPDATE SKIP LOCKED
        OFFSET 0
    ) d
),
removed AS (
    DELETE FROM subscription
    WHERE id = ANY (ARRAY(SELECT id FROM locked))
    RETURNING id
)
SELECT (SELECT count(*) FROM removed), (SELECT count(*) FROM wanted) - (SELECT count(*) FROM removed)

-- part: prepend
SELECT s.id, s.identity, s.lang, t.short_name, s.next_sequence_number,
    coalesce(jsonb_typeof(s.metadata), 'null') IN ('object', 'null'),
    jsonb_typeof(s.metadata) = 'object' AND s.metadata ->> 'prepend_next_delivery' IS NOT NULL
FROM subscription s
JOIN messageset t ON t.id = s.messageset_id
WHERE s.active
    AND NOT s.completed
    AND t.content_type = $1::text

-- The next of those that may get a notice.
-- name: repair_prepend_chunk
-- use: prepend
    AND s.id > $2::uuid
    AND ($3::integer IS NULL OR s.messageset_id = $3::integer)
ORDER BY s.id
LIMIT 5000

-- Those of these that still may.
-- name: repair_prepend_look
-- use: prepend
    AND s.id = ANY (ARRAY(SELECT unnest($2::uuid[])))
ORDER BY s.id

-- And are in nobody's hands.
-- name: repair_prepend_lock
-- use: prepend
    AND s.id = ANY (ARRAY(SELECT unnest($2::uuid[])))
ORDER BY s.id
FOR NO KEY UPDATE OF s SKIP LOCKED

-- name: repair_prepend
UPDATE subscription
SET metadata = CASE WHEN jsonb_typeof(metadata) = 'object' THEN metadata ELSE '{}' END
        || jsonb_build_object('prepend_next_delivery', ($2::text[])[width_bucket(id, $1::uuid[])]),
    updated_at = $3::timestamptz
WHERE id = ANY (ARRAY(SELECT unnest($1::uuid[])))

-- A reason is also known by how it is listed: on one line.
-- part: tasks
SELECT f.id, f.task_id, f.subscription_id, s.messageset_id, f.kind, f.initiated_at, f.reason
FROM failed_task f
JOIN subscription s ON s.id = f.subscription_id
WHERE ($1::integer IS NULL OR s.messageset_id = $1::integer)
    AND ($2::text IS NULL OR $2::text IN (f.reason, regexp_replace(f.reason, '[\x01-\x1f\x7f]', ' ', 'g')))
    AND ($3::integer[] IS NULL OR f.id = ANY ($3::integer[]))

-- name: repair_task_list
-- use: tasks
ORDER BY f.id DESC
LIMIT $4::bigint

-- name: repair_task_counts
SELECT messageset_id, reason, count(*), min(initiated_at), max(initiated_at)
FROM (
-- use: tasks
) t
GROUP BY messageset_id, reason
ORDER BY count(*) DESC, messageset_id, reason

-- How many there are, and of those how many whose subscription is ready; the highest id.
-- name: repair_task_total
SELECT count(*), count(*) FILTER (WHERE s.active AND NOT s.completed AND s.process_status = 0), coalesce(max(t.id), 0)
FROM (
-- use: tasks
) t
JOIN subscription s ON s.id = t.subscription_id
