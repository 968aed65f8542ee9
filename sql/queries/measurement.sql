-- What the daemons count, and what they measure now and then, for /metrics.

-- A daemon that had a row and has none any more was taken for gone, and its counts were added to those of the others
-- that are: then nothing is stored, and it begins another row.
-- name: daemon_total_store
INSERT INTO daemon_total (id, daemon, seen_at, names, totals)
SELECT $1::uuid, $2, now(), $4::text[], $5::bigint[]
WHERE NOT $3::boolean
    OR EXISTS (SELECT FROM daemon_total WHERE id = $1::uuid)
ON CONFLICT (id) DO UPDATE
SET seen_at = excluded.seen_at,
    names = excluded.names,
    totals = excluded.totals

-- Until the end of the transaction: two at once would lose one's sums.
-- name: daemon_total_lock
SELECT pg_advisory_xact_lock(7311522)

-- Adds the counts of daemons that are gone to the nil UUID's: of that one, and of those that were not seen for a day.
-- name: daemon_total_fold
WITH gone AS (
    DELETE FROM daemon_total
    WHERE id = $1::uuid
        OR (seen_at < now() - interval '1 day' AND id <> '00000000-0000-0000-0000-000000000000')
    RETURNING names, totals
),
sums AS (
    SELECT u.name, sum(u.total)::bigint AS total
    FROM (
        SELECT names, totals
        FROM gone
        UNION ALL
        SELECT names, totals
        FROM daemon_total
        WHERE id = '00000000-0000-0000-0000-000000000000'
    ) d
    CROSS JOIN LATERAL unnest(d.names, d.totals) AS u (name, total)
    GROUP BY u.name
)
INSERT INTO daemon_total (id, daemon, seen_at, names, totals)
SELECT '00000000-0000-0000-0000-000000000000', 'all that are gone', '-infinity', coalesce(array_agg(name), '{}'),
    coalesce(array_agg(total), '{}')
FROM sums
WHERE EXISTS (SELECT FROM gone)
HAVING count(*) > 0
ON CONFLICT (id) DO UPDATE
SET names = excluded.names,
    totals = excluded.totals

-- The second sum is that of daemons that are here.
-- name: daemon_total_read
SELECT u.name, sum(u.total)::bigint,
    coalesce(sum(u.total) FILTER (WHERE d.seen_at > now() - interval '1 minute'), 0)::bigint
FROM daemon_total d
CROSS JOIN LATERAL unnest(d.names, d.totals) AS u (name, total)
GROUP BY u.name

-- Whose turn it is: a row when it is ours. Nobody else's for so many milliseconds.
-- name: measurement_turn
INSERT INTO measurement_turn (name, next_at)
VALUES ($1, now() + $2::bigint * interval '1 millisecond')
ON CONFLICT (name) DO UPDATE
SET next_at = excluded.next_at
WHERE measurement_turn.next_at <= now()
RETURNING name

-- name: measurement_turn_end
UPDATE measurement_turn
SET next_at = now() + $2::bigint * interval '1 millisecond'
WHERE name = $1

-- name: measurement_queue
INSERT INTO measurement (name, label, value, measured_at)
SELECT m.name, m.label, m.value, clock_timestamp()
FROM (
    SELECT count(*) FILTER (WHERE due_at <= now() AND coalesce(lease_until, '-infinity') <= now()) AS due,
        count(*) FILTER (WHERE lease_until > now()) AS sending,
        count(*) FILTER (WHERE due_at > now() AND gate IS NULL AND coalesce(lease_until, '-infinity') <= now()) AS retrying,
        count(*) FILTER (WHERE gate LIKE 'hold %') AS paused,
        count(*) FILTER (WHERE gate LIKE 'window %') AS quiet,
        count(*) FILTER (WHERE gate LIKE 'channel %') AS channel,
        coalesce(extract(epoch FROM now()
            - min(due_at) FILTER (WHERE due_at <= now() AND coalesce(lease_until, '-infinity') <= now())), 0) AS lag
    FROM delivery_queue
) q
CROSS JOIN LATERAL (VALUES
    ('deliveries', 'due', q.due),
    ('deliveries', 'sending', q.sending),
    ('deliveries', 'retrying', q.retrying),
    ('deliveries', 'paused', q.paused),
    ('deliveries', 'quiet_hours', q.quiet),
    ('deliveries', 'channel_rate', q.channel),
    ('lag', '', q.lag),
    ('failed_tasks', '', (SELECT count(*) FROM failed_task))
) m (name, label, value)
ON CONFLICT (name, label) DO UPDATE
SET value = excluded.value,
    measured_at = excluded.measured_at

-- A view for each.
-- name: measurement_invariants
SELECT substr(viewname, length('invariant_') + 1)
FROM pg_views
WHERE schemaname = current_schema()
    AND viewname LIKE 'invariant\_%'
ORDER BY viewname

-- name: measurement_invariant
INSERT INTO measurement (name, label, value, measured_at)
SELECT 'invariant', name, violations, clock_timestamp()
FROM invariant
WHERE name = $1
ON CONFLICT (name, label) DO UPDATE
SET value = excluded.value,
    measured_at = excluded.measured_at

-- Rules that are no more.
-- name: measurement_forget
DELETE FROM measurement
WHERE name = 'invariant'
    AND NOT EXISTS (
        SELECT
        FROM pg_views
        WHERE schemaname = current_schema()
            AND viewname = 'invariant_' || label
    )

-- All that /metrics reads at each scrape: what was measured, and what is cheap whatever the size of the tables. The
-- lag is measured too, but is looked up when no daemon is here to measure it.
-- name: measurement_read
SELECT name, label, value, extract(epoch FROM measured_at)
FROM measurement
WHERE name <> 'lag'
UNION ALL
SELECT 'lag', '', CASE
    WHEN EXISTS (SELECT FROM measurement WHERE name = 'lag' AND measured_at > now() - interval '1 minute') THEN (
        SELECT value
        FROM measurement
        WHERE name = 'lag'
    )
    ELSE coalesce((
        SELECT extract(epoch FROM now() - due_at)
        FROM delivery_queue
        WHERE due_at <= now()
            AND (lease_until IS NULL OR lease_until < now())
        ORDER BY due_at
        LIMIT 1
    ), 0)
    END, NULL
UNION ALL
SELECT 'daemons', '', count(*), NULL
FROM daemon
WHERE seen_at > now() - interval '1 minute'
UNION ALL
SELECT 'holds', '', count(*), NULL
FROM hold
UNION ALL
SELECT 'jobs', '', count(*), NULL
FROM job
WHERE finished_at IS NULL
UNION ALL
SELECT 'scheduler_calls', '', count(*), NULL
FROM scheduler_call
UNION ALL
SELECT m.name, m.label, m.value, NULL
FROM (
    SELECT count(*) FILTER (WHERE fanned_at IS NULL AND (held_at IS NULL OR released_at IS NOT NULL)) AS fanning,
        count(*) FILTER (WHERE fanned_at IS NOT NULL) AS sending,
        count(*) FILTER (WHERE fanned_at IS NULL AND held_at IS NOT NULL AND released_at IS NULL) AS held,
        coalesce(sum(queued), 0) AS queued,
        coalesce(sum(sent), 0) AS sent,
        coalesce(sum(failed), 0) AS failed,
        coalesce(sum(cancelled), 0) AS cancelled
    FROM run
    WHERE finished_at IS NULL
) r
CROSS JOIN LATERAL (VALUES
    ('runs', 'fan_out', r.fanning),
    ('runs', 'sending', r.sending),
    ('runs', 'held', r.held),
    ('run_messages', 'queued', r.queued),
    ('run_messages', 'sent', r.sent),
    ('run_messages', 'failed', r.failed),
    ('run_messages', 'cancelled', r.cancelled)
) m (name, label, value)
ORDER BY 1, 2
