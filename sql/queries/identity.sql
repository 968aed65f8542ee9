-- All that is kept about one identity; its opt-out, and its removal.

-- Deactivates subscriptions of an identity, at most $4. Their rows stay locked, so that none of them is followed by
-- another; whoever sees as many subscriptions at the next call as at the one before has come across all.
-- name: identity_deactivate
WITH stopped AS (
    UPDATE subscription
    SET active = false,
        updated_by_id = coalesce($2::integer, updated_by_id),
        updated_at = $3::timestamptz
    WHERE id = ANY (ARRAY(
        SELECT id
        FROM subscription
        WHERE identity = $1::text
            AND active
        ORDER BY id
        LIMIT $4::bigint
        FOR NO KEY UPDATE))
    RETURNING id
)
SELECT (SELECT count(*) FROM stopped),
    (SELECT count(*) FROM subscription WHERE identity = $1::text)

-- Ends deliveries of an identity that nobody has in hands, at most $4. A row that is locked now is just being
-- claimed, or written back: whoever does that finds the subscription inactive at the next look.
-- name: identity_cancel
WITH picked AS MATERIALIZED (
    SELECT subscription_id
    FROM delivery_queue
    WHERE subscription_id = ANY (ARRAY(SELECT id FROM subscription WHERE identity = $1::text))
        AND (lease_until IS NULL OR lease_until < now())
    ORDER BY subscription_id
    LIMIT $4::bigint
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
        s.lang, t.run_id, t.kind, 'cancelled', $2, t.request_id, t.tries, t.created_at, $3::timestamptz
    FROM taken t
    JOIN subscription s ON s.id = t.subscription_id
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

-- name: identity_under_way
SELECT count(*)
FROM delivery_queue
WHERE subscription_id = ANY (ARRAY(SELECT id FROM subscription WHERE identity = $1::text))
