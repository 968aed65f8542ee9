-- Statements of sbmctl.

-- name: migration_lock
SELECT pg_advisory_xact_lock($1::bigint)

-- name: migration_table
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY CHECK (version > 0),
    name text NOT NULL,
    -- SHA-256 of the file, in hex digits
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL
)

-- name: migrations_applied
SELECT version, name, checksum, applied_at
FROM schema_migration
ORDER BY version

-- name: migration_record
INSERT INTO schema_migration (version, name, checksum, applied_at)
VALUES ($1, $2, $3, $4)

-- name: user_add
INSERT INTO api_user (username, email, password, is_staff, permissions, created_at)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: user_list
SELECT u.username, u.id, nullif(u.email, ''), u.is_active, u.is_staff, u.password <> '', array_to_string(u.permissions, ','),
    (SELECT count(*) FROM api_token t WHERE t.user_id = u.id AND t.revoked_at IS NULL), u.created_at
FROM api_user u
ORDER BY u.username

-- name: user_known
SELECT count(*)
FROM api_user
WHERE username = $1

-- name: user_set_active
UPDATE api_user
SET is_active = $2
WHERE username = $1

-- name: user_set_password
UPDATE api_user
SET password = $2
WHERE username = $1

-- name: token_add
INSERT INTO api_token (digest, user_id, created_at)
SELECT $2::bytea, id, $3::timestamptz
FROM api_user
WHERE username = $1

-- name: token_list
SELECT t.id, u.username, substr(encode(t.digest, 'hex'), 1, 8), t.created_at, t.revoked_at
FROM api_token t
JOIN api_user u ON u.id = t.user_id
WHERE ($1::text IS NULL OR u.username = $1::text)
    AND ($2::boolean OR t.revoked_at IS NULL)
ORDER BY t.id

-- name: token_revoke
UPDATE api_token
SET revoked_at = $1
WHERE id = $2
    AND revoked_at IS NULL

-- name: token_revoke_digest
UPDATE api_token
SET revoked_at = $1
WHERE digest = $2
    AND revoked_at IS NULL

-- name: status_daemons
SELECT name, version, started_at, seen_at, round(extract(epoch FROM now() - seen_at))
FROM daemon
ORDER BY seen_at DESC, name

-- name: status_queue
SELECT count(*),
    count(*) FILTER (WHERE due_at <= now() AND coalesce(lease_until, '-infinity') <= now()),
    count(*) FILTER (WHERE lease_until > now()),
    count(*) FILTER (WHERE due_at > now() AND gate IS NULL AND coalesce(lease_until, '-infinity') <= now()),
    count(*) FILTER (WHERE gate IS NOT NULL),
    min(due_at) FILTER (WHERE due_at <= now() AND coalesce(lease_until, '-infinity') <= now()),
    round(extract(epoch FROM now() - min(due_at) FILTER (WHERE due_at <= now() AND coalesce(lease_until, '-infinity') <= now())))
FROM delivery_queue

-- name: status_holds
SELECT h.id, h.scope, h.schedule_id, h.messageset_id, h.reason, h.created_at
FROM hold h
ORDER BY h.id

-- Deliveries that wait at each gate.
-- name: status_gates
SELECT regexp_replace(gate, '^hold ', 'pause '), count(*), min(gated_due_at)
FROM delivery_queue
WHERE gate IS NOT NULL
GROUP BY gate
ORDER BY gate

-- name: status_held_runs
SELECT id, schedule_id, minute, held_wanted, held_expected, held_at
FROM run
WHERE held_at IS NOT NULL
    AND released_at IS NULL
    AND fanned_at IS NULL
ORDER BY id

-- A run's speed is that since it began, and the time left what the rest takes at that speed; while its deliveries are
-- still being made nobody knows how many there will be.
-- part: run_listed
SELECT r.id, r.schedule_id, r.minute, r.source,
    CASE WHEN r.held_at IS NOT NULL AND r.released_at IS NULL THEN CASE WHEN r.fanned_at IS NULL THEN 'held' ELSE 'cancelled' END
        WHEN r.finished_at IS NOT NULL THEN 'finished' WHEN r.fanned_at IS NULL THEN 'fan-out' ELSE 'sending' END,
    r.queued, r.sent + x.sent, r.failed + x.failed, r.cancelled + x.cancelled, r.skipped, r.queued - y.done,
    round(y.done / z.seconds, 1),
    CASE WHEN r.finished_at IS NOT NULL THEN 0 WHEN r.fanned_at IS NOT NULL AND y.done > 0 THEN ceil((r.queued - y.done) * z.seconds / y.done) END,
    r.created_at, r.finished_at
FROM run r
CROSS JOIN LATERAL (
    SELECT coalesce(sum(sent), 0) AS sent, coalesce(sum(failed), 0) AS failed, coalesce(sum(cancelled), 0) AS cancelled
    FROM run_result
    WHERE run_id = r.id
) x
CROSS JOIN LATERAL (
    SELECT r.sent + r.failed + r.cancelled + x.sent + x.failed + x.cancelled AS done
) y
CROSS JOIN LATERAL (
    SELECT greatest(1, extract(epoch FROM coalesce(r.finished_at, $1::timestamptz) - coalesce(r.released_at, r.created_at))) AS seconds
) z

-- name: status_runs
-- use: run_listed
WHERE r.finished_at IS NULL
ORDER BY r.id

-- name: status_schedules
SELECT s.id, concat_ws(' ', s.minute, s.hour, s.day_of_month, s.month_of_year, s.day_of_week), s.timezone,
    r.id, r.minute, r.queued, r.sent, r.failed, r.finished_at
FROM schedule s
LEFT JOIN LATERAL (
    SELECT id, minute, queued, sent, failed, finished_at
    FROM run
    WHERE schedule_id = s.id
    ORDER BY minute DESC
    LIMIT 1
) r ON true
ORDER BY s.id

-- name: status_failed_tasks
SELECT count(*), max(initiated_at)
FROM failed_task

-- Of each kind: what is open, and what the last one came to.
-- name: status_jobs
SELECT k.kind, k.open, k.oldest_at, l.finished_at,
    CASE WHEN l.finished_at IS NOT NULL THEN CASE WHEN l.error IS NULL THEN 'done' ELSE 'failed' END END,
    coalesce(l.error, l.outcome)
FROM (
    SELECT kind, count(*) FILTER (WHERE finished_at IS NULL) AS open, min(created_at) FILTER (WHERE finished_at IS NULL) AS oldest_at
    FROM job
    GROUP BY kind
) k
LEFT JOIN LATERAL (
    SELECT finished_at, error, outcome
    FROM job
    WHERE kind = k.kind
        AND finished_at IS NOT NULL
    ORDER BY finished_at DESC
    LIMIT 1
) l ON true
ORDER BY k.kind

-- name: schedule_known
SELECT count(*)
FROM schedule
WHERE id = $1::integer

-- name: run_list
-- use: run_listed
WHERE ($2::integer IS NULL OR r.schedule_id = $2::integer)
    AND (NOT $3::boolean OR r.finished_at IS NULL)
ORDER BY r.id DESC
LIMIT $4::bigint
