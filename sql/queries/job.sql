-- What the API asks of the daemon beside deliveries.

-- name: job_insert
INSERT INTO job (kind, request_id, created_at)
VALUES ($1, nullif($2, ''), $3)
RETURNING id

-- The oldest that nobody is at.
-- name: job_claim
UPDATE job j
SET started_at = coalesce(j.started_at, $1::timestamptz),
    lease_until = now() + $2::bigint * interval '1 millisecond'
FROM (
    SELECT id
    FROM job
    WHERE finished_at IS NULL
        AND (lease_until IS NULL OR lease_until < now())
    ORDER BY created_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) p
WHERE j.id = p.id
RETURNING j.id, j.kind, coalesce(j.request_id, '')

-- name: job_put_back
UPDATE job
SET lease_until = NULL
WHERE id = $1
    AND finished_at IS NULL

-- name: job_finish
UPDATE job
SET finished_at = $2,
    error = nullif($3, '')
WHERE id = $1
