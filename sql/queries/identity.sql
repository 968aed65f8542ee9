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

-- Ends deliveries of an identity that nobody has in hand, at most $4. A row that is locked now is just being
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

-- How much is kept, by kind.
-- name: identity_counts
WITH mine AS MATERIALIZED (
    SELECT id, active
    FROM subscription
    WHERE identity = $1::text
)
SELECT (SELECT count(*) FROM mine),
    (SELECT count(*) FROM mine WHERE active),
    (SELECT count(*) FROM delivery_queue WHERE subscription_id = ANY (ARRAY(SELECT id FROM mine))),
    (SELECT count(*) FROM delivery WHERE subscription_id = ANY (ARRAY(SELECT id FROM mine))),
    (SELECT count(*) FROM failed_task WHERE subscription_id = ANY (ARRAY(SELECT id FROM mine))),
    (SELECT count(*) FROM resend_request WHERE subscription_id = ANY (ARRAY(SELECT id FROM mine))),
    (SELECT count(*) FROM behind_subscription WHERE subscription_id = ANY (ARRAY(SELECT id FROM mine))),
    (SELECT count(*) FROM idempotency WHERE position('"identity":' || to_json($1::text)::text IN body) > 0),
    (SELECT count(*) FROM takeover_aside WHERE content ->> 'identity' = $1::text)

-- Deliveries to an address whose subscriptions are there no more: no identity leads to them.
-- name: identity_strays
SELECT count(*)
FROM delivery d
WHERE d.to_addr = $1::text
    AND NOT EXISTS (SELECT FROM subscription s WHERE s.id = d.subscription_id)

-- name: identity_stray_list
SELECT d.delivery_id, d.subscription_id, t.short_name, d.sequence_number, d.lang, d.kind, d.state, d.to_addr, d.outbound_id,
    d.reason, d.run_id, d.request_id, d.created_at, d.finished_at
FROM delivery d
LEFT JOIN messageset t ON t.id = d.messageset_id
WHERE d.to_addr = $3::text
    AND $1::text <> ''
    AND NOT EXISTS (SELECT FROM subscription s WHERE s.id = d.subscription_id)
ORDER BY d.finished_at DESC, d.delivery_id DESC
LIMIT $2::bigint

-- name: identity_subscriptions
SELECT s.id, t.short_name, s.lang, s.next_sequence_number, s.initial_sequence_number, s.schedule_id, s.active, s.completed,
    s.process_status, s.version, s.metadata, s.hub_request_id, s.created_at, s.updated_at
FROM subscription s
JOIN messageset t ON t.id = s.messageset_id
WHERE s.identity = $1::text
ORDER BY s.created_at DESC, s.id DESC
LIMIT $2::bigint

-- name: identity_queue
SELECT q.delivery_id, q.subscription_id, q.kind, q.run_id,
    CASE WHEN q.lease_until > now() THEN 'sending' ELSE coalesce(q.gate, 'queued') END,
    q.tries, q.request_id, q.created_at, q.last_error
FROM delivery_queue q
WHERE q.subscription_id = ANY (ARRAY(SELECT id FROM subscription WHERE identity = $1::text))
ORDER BY q.id DESC
LIMIT $2::bigint

-- name: identity_deliveries
SELECT d.delivery_id, d.subscription_id, t.short_name, d.sequence_number, d.lang, d.kind, d.state, d.to_addr, d.outbound_id,
    d.reason, d.run_id, d.request_id, d.created_at, d.finished_at
FROM delivery d
LEFT JOIN messageset t ON t.id = d.messageset_id
WHERE d.subscription_id = ANY (ARRAY(SELECT id FROM subscription WHERE identity = $1::text))
ORDER BY d.finished_at DESC, d.delivery_id DESC
LIMIT $2::bigint

-- name: identity_failed_tasks
SELECT id, subscription_id, task_id, kind, reason, initiated_at
FROM failed_task
WHERE subscription_id = ANY (ARRAY(SELECT id FROM subscription WHERE identity = $1::text))
ORDER BY id DESC
LIMIT $2::bigint

-- name: identity_resend_requests
SELECT id, subscription_id, message_id, outbound, received_at
FROM resend_request
WHERE subscription_id = ANY (ARRAY(SELECT id FROM subscription WHERE identity = $1::text))
ORDER BY id DESC
LIMIT $2::bigint

-- name: identity_behind
SELECT id, subscription_id, messages_behind, current_messageset_id, current_sequence_number, expected_messageset_id,
    expected_sequence_number, created_at
FROM behind_subscription
WHERE subscription_id = ANY (ARRAY(SELECT id FROM subscription WHERE identity = $1::text))
ORDER BY id DESC
LIMIT $2::bigint

-- name: identity_answers
SELECT u.username, i.key, i.status, i.location, i.created_at
FROM idempotency i
JOIN api_user u ON u.id = i.user_id
WHERE position('"identity":' || to_json($1::text)::text IN i.body) > 0
ORDER BY i.created_at DESC, i.key
LIMIT $2::bigint

-- name: identity_put_aside
SELECT row_id, kind, reason, content, put_at
FROM takeover_aside
WHERE content ->> 'identity' = $1::text
ORDER BY put_at DESC, row_id
LIMIT $2::bigint

-- Some subscriptions of an identity.
-- name: identity_some
SELECT id
FROM subscription
WHERE identity = $1::text
ORDER BY id
LIMIT $2::bigint

-- Takes what tells of a person out of the history of some subscriptions, at most $3 deliveries of each, and gives
-- them another subscription, which is in no other table: what was sent, when and with what outcome stays. What a
-- service answered follows a colon in the reason.
-- name: identity_erase_deliveries
UPDATE delivery d
SET subscription_id = o.pseudonym,
    delivery_id = gen_random_uuid(),
    to_addr = NULL,
    outbound_id = NULL,
    request_id = NULL,
    reason = split_part(d.reason, ':', 1)
FROM unnest($1::uuid[], $2::uuid[]) AS o (id, pseudonym)
CROSS JOIN LATERAL (
    SELECT coalesce((
        SELECT h.finished_at
        FROM delivery h
        WHERE h.subscription_id = o.id
        ORDER BY h.finished_at DESC
        OFFSET $3::bigint - 1
        LIMIT 1), '-infinity') AS finished_at
) since
WHERE d.subscription_id = o.id
    AND d.finished_at >= since.finished_at

-- Those that nothing is under way for; what hangs on them goes with them.
-- name: identity_erase_subscriptions
DELETE FROM subscription s
WHERE s.id = ANY ($1::uuid[])
    AND NOT s.active
    AND NOT EXISTS (SELECT FROM delivery_queue q WHERE q.subscription_id = s.id)
    AND NOT EXISTS (SELECT FROM delivery d WHERE d.subscription_id = s.id)

-- name: identity_erase_answers
DELETE FROM idempotency
WHERE (user_id, key) IN (
    SELECT user_id, key
    FROM idempotency
    WHERE position('"identity":' || to_json($1::text)::text IN body) > 0
    LIMIT $2::bigint
)

-- name: identity_erase_put_aside
DELETE FROM takeover_aside
WHERE content ->> 'identity' = $1::text

-- The same as identity_erase_deliveries, for at most $3 of identity_strays; $2 makes other ids of the subscriptions'.
-- name: identity_erase_strays
UPDATE delivery
SET subscription_id = md5($2::text || subscription_id::text)::uuid,
    delivery_id = gen_random_uuid(),
    to_addr = NULL,
    outbound_id = NULL,
    request_id = NULL,
    reason = split_part(reason, ':', 1)
WHERE to_addr = $1::text
    AND delivery_id = ANY (ARRAY(
        SELECT d.delivery_id
        FROM delivery d
        WHERE d.to_addr = $1::text
            AND NOT EXISTS (SELECT FROM subscription s WHERE s.id = d.subscription_id)
        LIMIT $3::bigint))
