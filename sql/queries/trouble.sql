-- Failed tasks and subscriptions that are behind, as the API lists them.

-- name: failed_task_count
SELECT count(*)
FROM failed_task

-- name: failed_task_after
SELECT id, subscription_id, task_id, initiated_at, reason
FROM failed_task
WHERE id < $1::bigint
ORDER BY id DESC
LIMIT $2::bigint
OFFSET $3::bigint

-- name: failed_task_before
SELECT id, subscription_id, task_id, initiated_at, reason
FROM failed_task
WHERE id > $1::bigint
ORDER BY id
LIMIT $2::bigint
OFFSET $3::bigint

-- name: failed_task_show
SELECT id, subscription_id, task_id, initiated_at, reason
FROM failed_task
WHERE id = $1::integer

-- name: behind_count
SELECT count(*)
FROM behind_subscription

-- name: behind_after
SELECT b.created_at, b.id, b.subscription_id, b.messages_behind,
    b.current_messageset_id, c.short_name, b.current_sequence_number,
    b.expected_messageset_id, e.short_name, b.expected_sequence_number
FROM (
    SELECT *
    FROM behind_subscription
    WHERE (created_at, id) < ($1::timestamptz, $2::bigint)
    ORDER BY created_at DESC, id DESC
    LIMIT $3::bigint
    OFFSET $4::bigint
) b
JOIN messageset c ON c.id = b.current_messageset_id
JOIN messageset e ON e.id = b.expected_messageset_id
ORDER BY b.created_at DESC, b.id DESC

-- name: behind_before
SELECT b.created_at, b.id, b.subscription_id, b.messages_behind,
    b.current_messageset_id, c.short_name, b.current_sequence_number,
    b.expected_messageset_id, e.short_name, b.expected_sequence_number
FROM (
    SELECT *
    FROM behind_subscription
    WHERE (created_at, id) > ($1::timestamptz, $2::bigint)
    ORDER BY created_at, id
    LIMIT $3::bigint
    OFFSET $4::bigint
) b
JOIN messageset c ON c.id = b.current_messageset_id
JOIN messageset e ON e.id = b.expected_messageset_id
ORDER BY b.created_at, b.id

-- name: behind_show
SELECT b.created_at, b.id, b.subscription_id, b.messages_behind,
    b.current_messageset_id, c.short_name, b.current_sequence_number,
    b.expected_messageset_id, e.short_name, b.expected_sequence_number
FROM behind_subscription b
JOIN messageset c ON c.id = b.current_messageset_id
JOIN messageset e ON e.id = b.expected_messageset_id
WHERE b.id = $1::integer
