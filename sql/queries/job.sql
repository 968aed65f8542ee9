-- What the API asks of the daemon beside deliveries.

-- name: job_insert
INSERT INTO job (kind, request_id, created_at)
VALUES ($1, nullif($2, ''), $3)
RETURNING id

-- The oldest that nobody finished; the lock keeps another daemon off it.
-- name: job_claim
SELECT id, kind, coalesce(request_id, '')
FROM job
WHERE finished_at IS NULL
ORDER BY created_at
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: job_start
UPDATE job
SET started_at = $2
WHERE id = $1

-- name: job_finish
UPDATE job
SET finished_at = $2,
    error = nullif($3, '')
WHERE id = $1
