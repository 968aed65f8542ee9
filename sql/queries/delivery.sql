-- The queue of deliveries, and what became of them.

-- name: delivery_subscription
SELECT active, completed, process_status
FROM subscription
WHERE id = $1

-- name: delivery_insert
WITH queued AS (
    INSERT INTO delivery_queue (subscription_id, kind, request_id, created_at, resend_request_id)
    VALUES ($1::uuid, $2::text, nullif($3, ''), $4::timestamptz,
        CASE WHEN $2::text = 'resend' THEN nextval(pg_get_serial_sequence('resend_request', 'id')) END)
    ON CONFLICT (subscription_id) DO NOTHING
    RETURNING delivery_id, subscription_id, resend_request_id
),
request AS (
    INSERT INTO resend_request (id, subscription_id, received_at)
    SELECT resend_request_id, subscription_id, $4::timestamptz
    FROM queued
    WHERE resend_request_id IS NOT NULL
)
SELECT delivery_id
FROM queued

-- name: delivery_under_way
SELECT delivery_id
FROM delivery_queue
WHERE subscription_id = $1

-- Takes failed tasks out and makes fresh deliveries of them, one for each subscription that is ready.
-- name: failed_task_requeue
WITH picked AS (
    SELECT id
    FROM failed_task
    WHERE id <= $1::bigint
    ORDER BY id
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
),
taken AS (
    DELETE FROM failed_task f
    USING picked p
    WHERE f.id = p.id
    RETURNING f.id, f.subscription_id, f.kind
),
wanted AS (
    SELECT DISTINCT ON (t.subscription_id) t.subscription_id, t.kind
    FROM taken t
    JOIN subscription s ON s.id = t.subscription_id
    WHERE s.active
        AND NOT s.completed
        AND s.process_status = 0
    ORDER BY t.subscription_id, t.kind, t.id
),
queued AS (
    INSERT INTO delivery_queue (subscription_id, kind, created_at, resend_request_id)
    SELECT subscription_id, kind, $3::timestamptz,
        CASE WHEN kind = 'resend' THEN nextval(pg_get_serial_sequence('resend_request', 'id')) END
    FROM wanted
    ON CONFLICT (subscription_id) DO NOTHING
    RETURNING subscription_id, resend_request_id
),
request AS (
    INSERT INTO resend_request (id, subscription_id, received_at)
    SELECT resend_request_id, subscription_id, $3::timestamptz
    FROM queued
    WHERE resend_request_id IS NOT NULL
)
SELECT (SELECT count(*) FROM taken),
    (SELECT count(*) FROM queued),
    (SELECT count(*) FROM wanted),
    (SELECT count(*) FROM taken t WHERE NOT EXISTS (SELECT FROM wanted w WHERE w.subscription_id = t.subscription_id))
