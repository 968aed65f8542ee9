-- What the API asks of the daemon beside deliveries.

-- name: job_insert
INSERT INTO job (kind, request_id, created_at)
VALUES ($1, nullif($2, ''), $3)
RETURNING id

-- The oldest that nobody is at, only of one kind or of all kinds but one. What a row of a claim says is ours until the
-- attempt is another one.
-- name: job_claim
UPDATE job j
SET started_at = coalesce(j.started_at, $1::timestamptz),
    attempt = j.attempt + 1,
    lease_until = now() + $2::bigint * interval '1 millisecond'
FROM (
    SELECT id
    FROM job
    WHERE finished_at IS NULL
        AND (lease_until IS NULL OR lease_until < now())
        AND ($3::text IS NULL OR kind = $3)
        AND ($4::text IS NULL OR kind <> $4)
    ORDER BY created_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) p
WHERE j.id = p.id
RETURNING j.id, j.kind, coalesce(j.request_id, ''), j.attempt

-- name: job_renew
UPDATE job
SET lease_until = now() + $3::bigint * interval '1 millisecond'
WHERE id = $1
    AND attempt = $2
    AND finished_at IS NULL

-- name: job_put_back
UPDATE job
SET lease_until = NULL
WHERE id = $1
    AND attempt = $2
    AND finished_at IS NULL

-- name: job_finish
UPDATE job
SET finished_at = $3,
    lease_until = NULL,
    outcome = nullif($4, ''),
    error = nullif($5, '')
WHERE id = $1
    AND attempt = $2
    AND finished_at IS NULL

-- name: job_list_count
SELECT count(*)
FROM job

-- part: job_row
SELECT created_at, id, kind,
    CASE
        WHEN finished_at IS NOT NULL AND error IS NOT NULL THEN 'failed'
        WHEN finished_at IS NOT NULL THEN 'done'
        WHEN lease_until > now() THEN 'working'
        ELSE 'waiting'
    END,
    started_at, finished_at, outcome, error, request_id
FROM job

-- name: job_list_after
-- use: job_row
WHERE (created_at, id) < ($1::timestamptz, $2::uuid)
ORDER BY created_at DESC, id DESC
LIMIT $3::bigint
OFFSET $4::bigint

-- name: job_list_before
-- use: job_row
WHERE (created_at, id) > ($1::timestamptz, $2::uuid)
ORDER BY created_at, id
LIMIT $3::bigint
OFFSET $4::bigint

-- name: job_show
-- use: job_row
WHERE id = $1::uuid
