-- What the API tells of the service itself.

-- name: state_server_version
SELECT current_setting('server_version')

-- Daemons are seen by the database's clock.
-- name: state_daemons
SELECT count(*)
FROM daemon
WHERE seen_at > now() - interval '1 minute'

-- name: state_metrics
SELECT
    (SELECT count(*) FROM delivery_queue WHERE lease_until IS NULL OR lease_until < now()),
    (SELECT count(*) FROM delivery_queue WHERE gate IS NOT NULL),
    (SELECT count(*) FROM hold),
    (SELECT count(*) FROM run WHERE held_at IS NOT NULL AND released_at IS NULL AND fanned_at IS NULL),
    (SELECT count(*) FROM delivery_queue WHERE lease_until >= now()),
    (SELECT coalesce(greatest(0, extract(epoch FROM $1::timestamptz - min(created_at)))::bigint, 0) FROM delivery_queue),
    (SELECT count(*) FROM run WHERE finished_at IS NULL),
    (SELECT count(*) FROM failed_task),
    (SELECT count(*) FROM job WHERE finished_at IS NULL),
    (SELECT count(*) FROM daemon WHERE seen_at > now() - interval '1 minute')

-- For the keys of metrics.
-- name: metric_sets
SELECT content_type, short_name
FROM messageset
ORDER BY content_type DESC, id
