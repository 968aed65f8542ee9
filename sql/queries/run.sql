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
SELECT id, fanned_to IS NULL AND released_at IS NULL
FROM run
WHERE fanned_at IS NULL
    AND (held_at IS NULL OR released_at IS NOT NULL)
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
    (extract(epoch FROM $1 - created_at) * 1000)::bigint, coalesce(request_id, '')

-- How far the runs are that are under way, as run_listed of ctl.sql has it. What is left of each is known when its
-- deliveries have all been made.
-- name: run_progress
SELECT r.id, r.schedule_id, r.queued, r.sent, r.failed, r.cancelled, round(y.done / y.seconds, 1),
    CASE WHEN r.fanned_at IS NOT NULL AND y.done > 0 THEN ceil((r.queued - y.done) * y.seconds / y.done) END,
    coalesce(r.request_id, '')
FROM run r
CROSS JOIN LATERAL (
    SELECT r.sent + r.failed + r.cancelled AS done,
        greatest(1, extract(epoch FROM $1::timestamptz - coalesce(r.released_at, r.created_at))) AS seconds
) y
WHERE r.finished_at IS NULL
    AND (r.held_at IS NULL OR r.released_at IS NOT NULL)
ORDER BY r.id

-- Holds a run that has not begun when its schedule has more than $2 times as many subscriptions for it as the
-- largest of the last five runs had deliveries, and more than $3. Without a run before there is nothing to expect.
-- name: run_judge
WITH firing AS (
    SELECT id, schedule_id, created_at
    FROM run
    WHERE id = $1::bigint
        AND fanned_to IS NULL
        AND fanned_at IS NULL
        AND held_at IS NULL
    FOR NO KEY UPDATE SKIP LOCKED
),
usual AS (
    SELECT max(queued) AS queued
    FROM (
        SELECT r.queued
        FROM run r
        JOIN firing f ON r.schedule_id = f.schedule_id
        WHERE r.finished_at IS NOT NULL
        ORDER BY r.minute DESC
        LIMIT 5
    ) last
),
wanted AS (
    SELECT count(*) AS subscriptions
    FROM firing f
    JOIN subscription s ON s.schedule_id = f.schedule_id
        AND s.active
        AND NOT s.completed
    WHERE s.process_status = 0
        AND (s.created_at <= f.created_at OR s.created_at > $4::timestamptz + interval '1 minute')
)
UPDATE run r
SET held_at = $4::timestamptz,
    held_wanted = w.subscriptions,
    held_expected = u.queued
FROM firing f
CROSS JOIN usual u
CROSS JOIN wanted w
WHERE r.id = f.id
    AND w.subscriptions > $3::bigint
    AND w.subscriptions > u.queued * $2::bigint
RETURNING r.schedule_id, w.subscriptions, u.queued

-- name: run_release
UPDATE run
SET released_at = $2
WHERE id = $1
    AND held_at IS NOT NULL
    AND released_at IS NULL
    AND fanned_at IS NULL

-- A held run that is not to be sent ends with nothing queued.
-- name: run_cancel
UPDATE run
SET fanned_at = $2
WHERE id = $1
    AND held_at IS NOT NULL
    AND released_at IS NULL
    AND fanned_at IS NULL

-- A run whose next chunk we make now; none when another daemon is at it.
-- name: run_take
SELECT schedule_id, coalesce(request_id, ''), created_at, coalesce(fanned_to, '00000000-0000-0000-0000-000000000000'),
    fanned_to IS NULL
FROM run
WHERE id = $1::bigint
    AND fanned_at IS NULL
    AND (held_at IS NULL OR released_at IS NOT NULL)
FOR NO KEY UPDATE SKIP LOCKED

-- The next chunk of a run: its schedule's subscriptions in the order of their ids. Those made since the run
-- was fired are none of its; one that says to be from the future is, for then somebody set the clock back.
-- What is held is put into the queue where no claim comes across it.
--   $1 run, $2 schedule, $3 where the chunk before ended, $4 whether this is the first, $5 when the run was
--   fired, $6 now, $7 request id
-- The number of LIMIT is replaced by the setting fanout_chunk. The schedule's condition is a range, so that
-- no other index than subscription_due has the order that is asked for.
-- name: run_fan_out
WITH looked_at AS MATERIALIZED (
    SELECT s.id,
        CASE
            WHEN EXISTS (SELECT FROM hold) THEN (
                SELECT 'hold ' || min(h.id)
                FROM hold h
                WHERE h.schedule_id = s.schedule_id
                    OR h.messageset_id = s.messageset_id
            )
        END AS gate,
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
    INSERT INTO delivery_queue (subscription_id, run_id, request_id, created_at, due_at, gate, gated_due_at)
    SELECT id, $1::bigint, nullif($7::text, ''), $6::timestamptz, CASE WHEN gate IS NULL THEN now() ELSE 'infinity' END,
        gate, CASE WHEN gate IS NOT NULL THEN now() END
    FROM looked_at
    WHERE wanted
    ON CONFLICT (subscription_id) DO NOTHING
    RETURNING id
),
chunk AS MATERIALIZED (
    SELECT count(*) AS looked_at,
        count(*) FILTER (WHERE wanted) AS wanted,
        (SELECT count(*) FROM queued) AS queued,
        (SELECT id FROM looked_at ORDER BY id DESC LIMIT 1) AS last
    FROM looked_at
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
