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
LIMIT 1

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
