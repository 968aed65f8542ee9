-- Runs: one firing of one schedule each.

-- name: run_insert
INSERT INTO run (schedule_id, minute, source, request_id, created_at)
SELECT id, $2::timestamptz, $3, nullif($4, ''), $5::timestamptz
FROM schedule
WHERE id = $1::bigint
ON CONFLICT (schedule_id, minute) DO NOTHING
RETURNING id

-- name: run_find
SELECT id
FROM run
WHERE schedule_id = $1::bigint
    AND minute = $2

-- name: run_fanning
SELECT id
FROM run
WHERE fanned_at IS NULL
ORDER BY id
LIMIT 100

-- Adds up what sender processes appended since the last time.
-- name: run_fold
WITH taken AS (
    DELETE FROM run_result
    RETURNING run_id, sent, failed, cancelled
),
total AS (
    SELECT run_id, sum(sent) AS sent, sum(failed) AS failed, sum(cancelled) AS cancelled
    FROM taken
    GROUP BY run_id
)
UPDATE run r
SET sent = r.sent + t.sent,
    failed = r.failed + t.failed,
    cancelled = r.cancelled + t.cancelled
FROM total t
WHERE r.id = t.run_id

-- A run has ended when all of its schedule's subscriptions were looked at and each delivery has ended.
-- name: run_finish
UPDATE run
SET finished_at = $1
WHERE finished_at IS NULL
    AND fanned_at IS NOT NULL
    AND sent + failed + cancelled >= queued
RETURNING id, schedule_id, minute, queued, skipped, sent, failed, cancelled,
    (extract(epoch FROM $1 - created_at) * 1000)::bigint

-- A run whose next chunk we make now; none when another daemon is at it.
-- name: run_take
SELECT schedule_id, coalesce(request_id, ''), created_at, coalesce(fanned_to, '00000000-0000-0000-0000-000000000000'),
    fanned_to IS NULL
FROM run
WHERE id = $1::bigint
    AND fanned_at IS NULL
FOR NO KEY UPDATE SKIP LOCKED

-- The next chunk of a run: its schedule's subscriptions in the order of their ids. Those made since the run
-- was fired are none of its; one that says to be from the future is, for then somebody set the clock back.
--   $1 run, $2 schedule, $3 where the chunk before ended, $4 whether this is the first, $5 when the run was
--   fired, $6 now, $7 request id
-- The number of LIMIT is replaced by the setting fanout_chunk. The schedule's condition is a range, so that
-- no other index than subscription_due has the order that is asked for.
-- name: run_fan_out
WITH looked_at AS MATERIALIZED (
    SELECT s.id,
        s.process_status = 0 AND (s.created_at <= $5::timestamptz OR s.created_at > $6::timestamptz + interval '1 minute') AS wanted
    FROM subscription s
    WHERE s.active
        AND NOT s.completed
        AND (s.schedule_id, s.id) >= ($2::integer, $3::uuid)
        AND s.schedule_id <= $2::integer
        AND (s.id <> $3::uuid OR $4::boolean)
    ORDER BY s.schedule_id, s.id
    LIMIT 5000
),
queued AS (
    INSERT INTO delivery_queue (subscription_id, run_id, request_id, created_at)
    SELECT id, $1::bigint, nullif($7::text, ''), $6::timestamptz
    FROM looked_at
    WHERE wanted
    ON CONFLICT (subscription_id) DO NOTHING
    RETURNING id
),
chunk AS (
    SELECT (SELECT count(*) FROM looked_at) AS looked_at,
        (SELECT count(*) FROM looked_at WHERE wanted) AS wanted,
        (SELECT count(*) FROM queued) AS queued,
        (SELECT id FROM looked_at ORDER BY id DESC LIMIT 1) AS last
)
UPDATE run r
SET fanned_to = coalesce(c.last, r.fanned_to),
    fanned_at = CASE WHEN c.looked_at < 5000 THEN $6::timestamptz END,
    queued = r.queued + c.queued,
    skipped = r.skipped + c.wanted - c.queued
FROM chunk c
WHERE r.id = $1::bigint
RETURNING c.looked_at, c.queued, c.wanted - c.queued, r.fanned_at IS NOT NULL

-- True when there may be counts to add up or a run to finish.
-- name: run_open
SELECT EXISTS (SELECT FROM run WHERE finished_at IS NULL) OR EXISTS (SELECT FROM run_result)
