-- What was sent, and what is on its way, as the API tells it.

-- name: progress_subscription
SELECT active, completed, process_status
FROM subscription
WHERE id = $1::uuid

-- name: progress_schedule
SELECT 1
FROM schedule
WHERE id = $1::integer

-- name: progress_delivery_count
SELECT (SELECT count(*) FROM delivery WHERE subscription_id = $1::uuid)
    + (SELECT count(*) FROM delivery_queue WHERE subscription_id = $1::uuid)

-- part: delivery_of_subscription
SELECT ends_at, delivery_id, state, kind, messageset_id, sequence_number, lang, message_id, to_addr, outbound_id,
    reason, run_id, tries, request_id, created_at, finished_at
FROM (
    SELECT finished_at AS ends_at, delivery_id, state, kind, messageset_id, sequence_number, lang, message_id, to_addr,
        outbound_id, reason, run_id, tries, request_id, created_at, finished_at
    FROM delivery
    WHERE subscription_id = $1::uuid
    UNION ALL
    SELECT 'infinity', delivery_id, CASE WHEN lease_until > now() THEN 'sending' ELSE 'queued' END, kind, NULL, NULL, NULL,
        NULL, NULL, NULL, last_error, run_id, tries, request_id, created_at, NULL
    FROM delivery_queue
    WHERE subscription_id = $1::uuid
) d

-- name: progress_delivery_after
-- use: delivery_of_subscription
WHERE (ends_at, delivery_id) < ($2::timestamptz, $3::uuid)
ORDER BY ends_at DESC, delivery_id DESC
LIMIT $4::bigint
OFFSET $5::bigint

-- name: progress_delivery_before
-- use: delivery_of_subscription
WHERE (ends_at, delivery_id) > ($2::timestamptz, $3::uuid)
ORDER BY ends_at, delivery_id
LIMIT $4::bigint
OFFSET $5::bigint

-- name: progress_run_count
SELECT count(*)
FROM run
WHERE schedule_id = $1::integer

-- The sums of a run under way are those that were added up already and those that were not.
-- part: run_and_sums
SELECT r.id, r.schedule_id, r.minute, r.source, r.created_at, r.fanned_at, r.finished_at, r.queued, r.skipped,
    r.sent + coalesce(w.sent, 0), r.failed + coalesce(w.failed, 0), r.cancelled + coalesce(w.cancelled, 0), r.request_id,
    r.held_at, r.held_wanted, r.held_expected, r.released_at
FROM run r
LEFT JOIN LATERAL (
    SELECT sum(sent) AS sent, sum(failed) AS failed, sum(cancelled) AS cancelled
    FROM run_result
    WHERE run_id = r.id
        AND r.finished_at IS NULL
) w ON true

-- name: progress_run_after
-- use: run_and_sums
WHERE r.schedule_id = $1::integer
    AND r.id < $2::bigint
ORDER BY r.id DESC
LIMIT $3::bigint
OFFSET $4::bigint

-- name: progress_run_before
-- use: run_and_sums
WHERE r.schedule_id = $1::integer
    AND r.id > $2::bigint
ORDER BY r.id
LIMIT $3::bigint
OFFSET $4::bigint

-- name: progress_run_show
-- use: run_and_sums
WHERE r.id = $1::bigint
