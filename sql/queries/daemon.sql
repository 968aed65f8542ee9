-- The sender daemon's own rows, and its housekeeping.

-- name: daemon_seen
INSERT INTO daemon (name, version, started_at, seen_at)
VALUES ($1, $2, now(), now())
ON CONFLICT (name) DO UPDATE
SET seen_at = now()
RETURNING seen_at

-- Not when its successor, after a reload, was seen already.
-- name: daemon_gone
DELETE FROM daemon
WHERE name = $1
    AND seen_at <= $2

-- name: daemon_forget
DELETE FROM daemon
WHERE seen_at < now() - interval '1 day'

-- name: schedule_ticks
SELECT s.id, s.minute, s.hour, s.day_of_week, s.day_of_month, s.month_of_year, s.timezone,
    coalesce(t.definition, ''), t.checked_to
FROM schedule s
LEFT JOIN schedule_tick t ON t.schedule_id = s.id
ORDER BY s.id

-- A schedule that is new or was changed: its firings count from here on.
-- name: schedule_tick_set
INSERT INTO schedule_tick (schedule_id, definition, checked_to)
SELECT id, $2, $3::timestamptz
FROM schedule
WHERE id = $1::bigint
ON CONFLICT (schedule_id) DO UPDATE
SET definition = excluded.definition,
    checked_to = excluded.checked_to
WHERE schedule_tick.definition <> excluded.definition
    OR schedule_tick.checked_to > excluded.checked_to

-- The one daemon whose update finds the old time makes the firing.
-- name: schedule_tick_move
UPDATE schedule_tick
SET checked_to = $4::timestamptz
WHERE schedule_id = $1::bigint
    AND definition = $2
    AND checked_to = $3::timestamptz

-- name: job_forget
DELETE FROM job
WHERE finished_at < $1::timestamptz - interval '30 days'

-- name: delivery_months_make
SELECT count(*) FILTER (WHERE delivery_month_make($1::timestamptz + n * interval '1 month'))
FROM generate_series(0, 2) n

-- name: delivery_months_drop
SELECT delivery_months_drop($1::timestamptz - $2::bigint * interval '1 month')

-- name: failed_task_last
SELECT coalesce(max(id), 0)
FROM failed_task
