-- The queue under an administrator's hand.

-- name: queue_last
SELECT count(*), coalesce(max(id), 0)
FROM delivery_queue
WHERE lease_until IS NULL
    OR lease_until < now()

-- Ends deliveries that nobody has in hand, up to place $1 of the queue, at most $2.
-- name: queue_cancel
WITH picked AS MATERIALIZED (
    SELECT subscription_id
    FROM delivery_queue
    WHERE id <= $1::bigint
        AND (lease_until IS NULL OR lease_until < now())
    ORDER BY due_at, id
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
),
taken AS (
    DELETE FROM delivery_queue
    WHERE subscription_id = ANY (ARRAY(SELECT subscription_id FROM picked))
    RETURNING delivery_id, subscription_id, run_id, kind, request_id, tries, created_at
),
history AS (
    INSERT INTO delivery (delivery_id, subscription_id, messageset_id, sequence_number, lang, run_id, kind, state, reason,
        request_id, tries, created_at, finished_at)
    SELECT t.delivery_id, t.subscription_id, s.messageset_id,
        CASE WHEN t.kind = 'resend' THEN greatest(s.next_sequence_number - 1, 1) ELSE s.next_sequence_number END,
        s.lang, t.run_id, t.kind, 'cancelled', $3, t.request_id, t.tries, t.created_at, $4::timestamptz
    FROM taken t
    LEFT JOIN LATERAL (
        SELECT messageset_id, next_sequence_number, lang
        FROM subscription
        WHERE id = t.subscription_id
        OFFSET 0
    ) s ON true
),
counts AS (
    INSERT INTO run_result (run_id, sent, failed, cancelled)
    SELECT run_id, 0, 0, count(*)
    FROM taken
    WHERE run_id IS NOT NULL
    GROUP BY run_id
)
SELECT count(*)
FROM taken
