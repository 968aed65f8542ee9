-- Calls that the external scheduler is owed. All lock the schedule before its call.

-- name: scheduler_call_record
INSERT INTO scheduler_call (schedule_id, request_id, created_at)
SELECT id, $2, $3::timestamptz
FROM schedule
WHERE id = $1::bigint
FOR KEY SHARE
ON CONFLICT (schedule_id) DO UPDATE
SET change = scheduler_call.change + 1,
    request_id = excluded.request_id,
    due_at = now()

-- One that never reached the scheduler, and that nobody is about to carry there, needs no call.
-- name: scheduler_call_record_delete
WITH gone AS (
    SELECT id, scheduler_schedule_id
    FROM schedule
    WHERE id = $1::bigint
    FOR UPDATE
)
INSERT INTO scheduler_call (schedule_id, scheduler_schedule_id, request_id, created_at)
SELECT id, scheduler_schedule_id, $2, $3::timestamptz
FROM gone
WHERE scheduler_schedule_id IS NOT NULL
    OR EXISTS (SELECT FROM scheduler_call WHERE schedule_id = gone.id)
ON CONFLICT (schedule_id) DO UPDATE
SET change = scheduler_call.change + 1,
    scheduler_schedule_id = coalesce(excluded.scheduler_schedule_id, scheduler_call.scheduler_schedule_id),
    request_id = excluded.request_id,
    due_at = now()

-- name: scheduler_call_claim
UPDATE scheduler_call c
SET attempt = c.attempt + 1,
    lease_until = now() + $1::bigint * interval '1 millisecond'
FROM (
    SELECT schedule_id
    FROM scheduler_call
    WHERE due_at <= now()
        AND (lease_until IS NULL OR lease_until < now())
    ORDER BY due_at, schedule_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) p
WHERE c.schedule_id = p.schedule_id
RETURNING c.schedule_id, c.attempt, c.change, c.tries, c.scheduler_schedule_id, c.creation_key, c.in_doubt, coalesce(c.request_id, '')

-- Asked after the claim, so that it is at least as new as the change that was claimed.
-- name: scheduler_call_schedule
SELECT minute, hour, day_of_week, day_of_month, month_of_year, timezone, scheduler_schedule_id
FROM schedule
WHERE id = $1::bigint

-- Before each call. No row: another process has taken it over.
-- name: scheduler_call_hold
UPDATE scheduler_call
SET lease_until = now() + $3::bigint * interval '1 millisecond',
    in_doubt = in_doubt OR $4::boolean
WHERE schedule_id = $1::bigint
    AND attempt = $2::integer

-- name: scheduler_call_retry
UPDATE scheduler_call
SET lease_until = NULL,
    due_at = now() + $3::bigint * interval '1 millisecond',
    tries = $4::integer,
    in_doubt = $5::boolean,
    last_error = $6
WHERE schedule_id = $1::bigint
    AND attempt = $2::integer

-- name: scheduler_call_keep_id
UPDATE schedule
SET scheduler_schedule_id = $2::uuid,
    scheduler_digest = $3
WHERE id = $1::bigint

-- name: scheduler_call_done
DELETE FROM scheduler_call
WHERE schedule_id = $1::bigint
    AND attempt = $2::integer
    AND change = $3::bigint

-- It was changed while the call was under way: another one follows.
-- name: scheduler_call_again
UPDATE scheduler_call
SET lease_until = NULL,
    due_at = now(),
    tries = 0,
    in_doubt = false,
    last_error = NULL,
    scheduler_schedule_id = $3::uuid
WHERE schedule_id = $1::bigint
    AND attempt = $2::integer

-- Milliseconds until there may be something to claim; NULL when there is nothing.
-- name: scheduler_call_next
SELECT ceil(extract(epoch FROM min(greatest(due_at, lease_until)) - now()) * 1000)
FROM scheduler_call

-- name: scheduler_calls
SELECT c.schedule_id,
    CASE
        WHEN s.id IS NULL THEN 'switch off'
        WHEN coalesce(s.scheduler_schedule_id, c.scheduler_schedule_id) IS NULL THEN 'create'
        ELSE 'change'
    END,
    c.created_at, c.tries, CASE WHEN c.lease_until > now() THEN NULL ELSE c.due_at END, c.last_error
FROM scheduler_call c
LEFT JOIN schedule s ON s.id = c.schedule_id
ORDER BY c.created_at, c.schedule_id

-- name: scheduler_schedules
SELECT s.id, s.minute, s.hour, s.day_of_week, s.day_of_month, s.month_of_year, s.timezone, s.scheduler_schedule_id,
    s.scheduler_digest, c.schedule_id IS NOT NULL
FROM schedule s
LEFT JOIN scheduler_call c ON c.schedule_id = s.id
ORDER BY s.id
