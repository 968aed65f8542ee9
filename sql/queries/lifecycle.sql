-- Where subscriptions should be, what is to come, estimates.

-- name: programme_schedules
SELECT id, minute, hour, day_of_week, day_of_month, month_of_year, timezone
FROM schedule
ORDER BY id

-- name: programme_sets
SELECT id, short_name, next_set_id, default_schedule_id
FROM messageset
ORDER BY id

-- name: programme_sizes
SELECT messageset_id, lang, count(*)
FROM message
GROUP BY messageset_id, lang
ORDER BY messageset_id, lang

-- Numbers up to the size that no message has: who comes there gets no further.
-- name: programme_gaps
SELECT s.messageset_id, s.lang, n
FROM (
    SELECT messageset_id, lang, count(*) AS size
    FROM message
    GROUP BY messageset_id, lang
    HAVING min(sequence_number) < 1
        OR max(sequence_number) > count(*)
) s
CROSS JOIN generate_series(1, s.size) n
WHERE NOT EXISTS (
    SELECT
    FROM message m
    WHERE m.messageset_id = s.messageset_id
        AND m.lang = s.lang
        AND m.sequence_number = n
)
ORDER BY s.messageset_id, s.lang, n

-- name: programme_subscription
SELECT messageset_id, schedule_id, lang, initial_sequence_number, next_sequence_number,
    active AND NOT completed AND process_status = 0, created_at
FROM subscription
WHERE id = $1

-- Ready subscriptions that are at the same place get the same messages.
-- name: programme_positions
SELECT messageset_id, schedule_id, lang, next_sequence_number, count(*)
FROM subscription
WHERE active
    AND NOT completed
    AND process_status = 0
GROUP BY messageset_id, schedule_id, lang, next_sequence_number

-- One computation at a time; until the end of the transaction.
-- name: find_behind_lock
SELECT pg_advisory_xact_lock(7311521)

-- name: find_behind_oldest
SELECT min(created_at), count(*)
FROM subscription
WHERE active
    AND NOT completed
    AND process_status = 0
    AND ($1::integer IS NULL OR messageset_id = $1::integer)

-- name: find_behind_clear
DELETE FROM behind_subscription

-- name: find_behind_chunk
SELECT id, messageset_id, schedule_id, lang, initial_sequence_number, next_sequence_number, created_at, identity
FROM subscription
WHERE active
    AND NOT completed
    AND process_status = 0
    AND id > $1
    AND ($2::integer IS NULL OR messageset_id = $2::integer)
ORDER BY id
LIMIT 5000

-- name: find_behind_insert
INSERT INTO behind_subscription (subscription_id, messages_behind, current_messageset_id, current_sequence_number,
    expected_messageset_id, expected_sequence_number, created_at)
SELECT id, messages_behind, current_set, current_number, expected_set, expected_number, $7
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::integer[])
    AS b (id, messages_behind, current_set, current_number, expected_set, expected_number)

-- Of subscriptions that were deleted during the computation, when nobody saw these rows.
-- name: find_behind_drop_orphans
DELETE FROM behind_subscription b
WHERE NOT EXISTS (SELECT FROM subscription s WHERE s.id = b.subscription_id)

-- name: estimate_clear
UPDATE estimated_send
SET estimate_subscriptions = 0,
    estimate_identities = 0
WHERE send_date = $1

-- name: estimate_store
INSERT INTO estimated_send (send_date, message_set_id, estimate_subscriptions, estimate_identities)
SELECT $1::date, messageset_id, count(*), count(DISTINCT identity)
FROM subscription
WHERE active
    AND NOT completed
    AND process_status = 0
    AND schedule_id = ANY ($2::integer[])
GROUP BY messageset_id
ON CONFLICT (send_date, message_set_id) DO UPDATE
SET estimate_subscriptions = excluded.estimate_subscriptions,
    estimate_identities = excluded.estimate_identities

-- name: estimate_by_schedule
SELECT schedule_id, count(*)
FROM subscription
WHERE active
    AND NOT completed
    AND process_status = 0
GROUP BY schedule_id
