-- What administrators do to many subscriptions at once.
--
-- As in delivery.sql the statements leave the planner no choice of order: rows are found by = ANY of a list or by
-- LATERAL subqueries with OFFSET 0. Lists of subscriptions are in order, so that width_bucket finds places.

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

-- Moves those that are ready and still where they were seen, and makes what follows on those that are completed.
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
        FOR NO KEY UPDATE
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
SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM moved WHERE completed), (SELECT count(*) FROM followed)

-- name: repair_messageset
SELECT id
FROM messageset
WHERE id::text = $1
    OR short_name = $1
ORDER BY id::text = $1 DESC
LIMIT 1
