-- What the API tells of the service itself.

-- name: state_server_version
SELECT current_setting('server_version')

-- Daemons are seen by the database's clock.
-- name: state_daemons
SELECT count(*)
FROM daemon
WHERE seen_at > now() - interval '1 minute'

-- For the keys of metrics.
-- name: metric_sets
SELECT content_type, short_name
FROM messageset
ORDER BY content_type DESC, id
