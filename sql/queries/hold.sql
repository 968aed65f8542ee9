-- Pauses, and deliveries that wait at a gate.

-- name: hold_place
INSERT INTO hold (scope, schedule_id, messageset_id, reason, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (scope, coalesce(schedule_id, messageset_id, 0)) DO NOTHING
RETURNING id

-- name: hold_lift
DELETE FROM hold
WHERE scope = $1::text
    AND coalesce(schedule_id, messageset_id, 0) = coalesce($2::integer, 0)
RETURNING id

-- The gates at which deliveries wait, one row each, found by jumps through the index; and whether it is a hold
-- that is there no more.
-- name: gate_list
WITH RECURSIVE gates AS (
    (
        SELECT gate
        FROM delivery_queue
        WHERE gate IS NOT NULL
        ORDER BY gate
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT q.gate
        FROM delivery_queue q
        WHERE q.gate > g.gate
        ORDER BY q.gate
        LIMIT 1
    )
    FROM gates g
    WHERE g.gate IS NOT NULL
)
SELECT g.gate, NOT EXISTS (SELECT FROM hold h WHERE g.gate = 'hold ' || h.id)
FROM gates g
WHERE g.gate IS NOT NULL

-- Lets deliveries go on, the oldest first.
-- name: gate_open
WITH free AS (
    SELECT id
    FROM delivery_queue
    WHERE gate = $1
    ORDER BY gated_due_at, id
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
)
UPDATE delivery_queue q
SET due_at = q.gated_due_at,
    gate = NULL,
    gated_due_at = NULL
FROM free f
WHERE q.id = f.id

-- One daemon in a while lets go on what waits for a lane; a time to come is none that counts, as in rate_look.
-- name: rate_feed
UPDATE sender_rate
SET fed_at = now()
WHERE lane = $1
    AND (fed_at < now() - $2::bigint * interval '1 millisecond' OR fed_at > now() + interval '10 seconds')

-- name: rate_lane
INSERT INTO sender_rate (lane)
VALUES ($1)
ON CONFLICT (lane) DO NOTHING

-- In how many microseconds the next message of a lane may go; what is past is lost. Times are never given out so far
-- ahead: then somebody set the database's clock back. The lane is ours until the end of the transaction.
-- name: rate_look
SELECT CASE
    WHEN next_at > clock_timestamp() + interval '10 seconds' THEN 0
    ELSE greatest(0, extract(epoch FROM next_at - clock_timestamp()) * 1000000)
    END::bigint
FROM sender_rate
WHERE lane = $1
FOR NO KEY UPDATE

-- name: rate_take
UPDATE sender_rate
SET next_at = clock_timestamp() + $2::bigint * interval '1 microsecond'
WHERE lane = $1
