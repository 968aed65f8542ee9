-- What the sender processes of all daemons know of the services around.

-- Answers that came so many milliseconds ago; NULL: none that is news.
-- name: service_tell
UPDATE service s
SET answered_at = now() - t.ago * interval '1 millisecond'
FROM (VALUES ('identity store', $1::bigint), ('message sender', $2::bigint)) t (name, ago)
WHERE s.name = t.name
    AND s.answered_at < now() - t.ago * interval '1 millisecond'

-- How many milliseconds ago each last answered; negative when somebody set the database's clock back.
-- name: service_ask
SELECT name, (extract(epoch FROM now() - answered_at) * 1000)::bigint
FROM service
WHERE answered_at > '-infinity'

-- How many milliseconds ago each of these deliveries was last tried.
-- name: service_tried
SELECT subscription_id, (extract(epoch FROM now() - tried_at) * 1000)::bigint
FROM delivery_queue
WHERE subscription_id = ANY ($1::uuid[])
    AND tried_at IS NOT NULL
