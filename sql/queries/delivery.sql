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

-- The number of LIMIT is replaced by the setting batch.
-- name: delivery_claim
WITH picked AS (
    SELECT id
    FROM delivery_queue
    WHERE (due_at, id) > ($1::timestamptz, $2::bigint)
        AND due_at <= now()
        AND (lease_until IS NULL OR lease_until < now())
    ORDER BY due_at, id
    LIMIT 500
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE delivery_queue q
    SET attempt = q.attempt + 1,
        lease_until = now() + $3::bigint * interval '1 millisecond'
    FROM picked p
    WHERE q.id = p.id
    RETURNING q.id, q.delivery_id, q.subscription_id, q.attempt, q.tries, q.kind, q.request_id, q.due_at
)
SELECT c.id, c.due_at, c.attempt, c.tries, c.kind, c.delivery_id, c.subscription_id, coalesce(c.request_id, ''),
    s.id IS NOT NULL, s.active, s.completed, s.process_status, s.identity, s.lang, s.messageset_id,
    CASE WHEN c.kind = 'resend' THEN greatest(s.next_sequence_number - 1, 1) ELSE s.next_sequence_number END,
    s.metadata ->> 'to_addr', s.metadata ->> 'prepend_next_delivery',
    t.content_type, coalesce(t.channel, ''), t.short_name,
    m.id, m.text_content, m.metadata, coalesce(b.content, '')
FROM claimed c
LEFT JOIN subscription s ON s.id = c.subscription_id
LEFT JOIN messageset t ON t.id = s.messageset_id
LEFT JOIN message m ON m.messageset_id = s.messageset_id
    AND m.lang = s.lang
    AND m.sequence_number = CASE WHEN c.kind = 'resend' THEN greatest(s.next_sequence_number - 1, 1) ELSE s.next_sequence_number END
LEFT JOIN binarycontent b ON b.id = m.binary_content_id
ORDER BY c.due_at, c.id

-- All that the end of deliveries means, in one statement: the row moves from the queue to the history, the
-- subscription advances or completes, and a completed one is followed by one to the next set. What a client
-- changed while the message was on its way stays: a moved subscription is not moved again, a deactivated one
-- has no follow-on, another text to prepend is kept.
-- name: delivery_finish
WITH done AS (
    DELETE FROM delivery_queue q
    USING unnest($1::bigint[], $2::integer[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[],
        $8::integer[], $9::integer[], $10::text[], $11::text[])
        AS r (id, attempt, outcome, message_id, to_addr, outbound_id, reason, messageset_id, sequence_number, lang, prepend)
    WHERE q.id = r.id
        AND q.attempt = r.attempt
    RETURNING q.delivery_id, q.subscription_id, q.run_id, q.kind, q.resend_request_id, q.request_id, q.tries, q.created_at,
        r.outcome, r.outcome IN ('sent', 'dry_run') AS sent, r.message_id, r.to_addr, r.outbound_id, r.reason,
        r.messageset_id, r.sequence_number, r.lang, r.prepend
),
history AS (
    INSERT INTO delivery (delivery_id, subscription_id, messageset_id, sequence_number, lang, run_id, kind, state,
        message_id, to_addr, outbound_id, reason, request_id, tries, created_at, finished_at)
    SELECT delivery_id, subscription_id, messageset_id, sequence_number, lang, run_id, kind,
        CASE WHEN outcome = 'no_recipient' THEN 'failed' ELSE outcome END,
        message_id, to_addr, outbound_id, reason, request_id, tries, created_at, $12::timestamptz
    FROM done
),
size AS (
    SELECT p.messageset_id, p.lang,
        (SELECT count(*) FROM message m WHERE m.messageset_id = p.messageset_id AND m.lang = p.lang) AS messages
    FROM (
        SELECT DISTINCT messageset_id, lang
        FROM done
        WHERE sent
            AND kind = 'next'
    ) p
),
ending AS (
    SELECT s.id, s.active, s.identity, s.lang, s.messageset_id
    FROM size z
    JOIN done d ON d.messageset_id = z.messageset_id
        AND d.lang = z.lang
        AND d.sequence_number = z.messages
    JOIN subscription s ON s.id = d.subscription_id
    WHERE d.sent
        AND d.kind = 'next'
        AND NOT s.completed
        AND s.messageset_id = d.messageset_id
        AND s.next_sequence_number = d.sequence_number
    FOR NO KEY UPDATE OF s
),
advanced AS (
    UPDATE subscription s
    SET next_sequence_number = CASE
            WHEN e.id IS NULL
                AND d.sent
                AND d.kind = 'next'
                AND s.messageset_id = d.messageset_id
                AND s.next_sequence_number = d.sequence_number THEN s.next_sequence_number + 1
            ELSE s.next_sequence_number
        END,
        completed = s.completed OR e.id IS NOT NULL,
        active = s.active AND e.id IS NULL,
        process_status = CASE
            WHEN e.id IS NOT NULL THEN 2
            WHEN d.outcome = 'no_recipient' AND s.process_status = 0 THEN -1
            ELSE s.process_status
        END,
        metadata = CASE
            WHEN d.sent
                AND d.prepend IS NOT NULL
                AND jsonb_typeof(s.metadata) = 'object'
                AND s.metadata ->> 'prepend_next_delivery' = d.prepend
                THEN s.metadata || '{"prepend_next_delivery": null}'
            ELSE s.metadata
        END,
        updated_at = $12::timestamptz
    FROM done d
    LEFT JOIN ending e ON e.id = d.subscription_id
    WHERE s.id = d.subscription_id
        AND (d.outcome = 'no_recipient' OR (d.sent AND (d.kind = 'next' OR d.prepend IS NOT NULL)))
),
followed AS (
    INSERT INTO subscription (identity, messageset_id, schedule_id, lang, created_at, updated_at)
    SELECT e.identity, n.id, n.default_schedule_id, e.lang, $12::timestamptz, $12::timestamptz
    FROM ending e
    JOIN messageset t ON t.id = e.messageset_id
    JOIN messageset n ON n.id = t.next_set_id
    WHERE e.active
),
tasks AS (
    INSERT INTO failed_task (subscription_id, task_id, initiated_at, reason, kind)
    SELECT d.subscription_id, d.delivery_id, d.created_at, d.reason, d.kind
    FROM done d
    JOIN subscription s ON s.id = d.subscription_id
    WHERE d.outcome IN ('failed', 'no_recipient')
),
counts AS (
    INSERT INTO run_result (run_id, sent, failed, cancelled)
    SELECT run_id, count(*) FILTER (WHERE sent), count(*) FILTER (WHERE outcome IN ('failed', 'no_recipient')),
        count(*) FILTER (WHERE outcome = 'cancelled')
    FROM done
    WHERE run_id IS NOT NULL
    GROUP BY run_id
),
resent AS (
    UPDATE resend_request q
    SET outbound = d.outbound_id,
        message_id = (SELECT m.id FROM message m WHERE m.id = d.message_id)
    FROM done d
    WHERE q.id = d.resend_request_id
        AND d.sent
)
SELECT count(*)
FROM done

-- name: delivery_put_back
UPDATE delivery_queue q
SET lease_until = NULL,
    due_at = CASE WHEN r.delay_ms > 0 THEN now() + r.delay_ms * interval '1 millisecond' ELSE q.due_at END,
    tries = q.tries + r.used,
    last_error = coalesce(nullif(r.reason, ''), q.last_error)
FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::smallint[], $5::text[])
    AS r (id, attempt, delay_ms, used, reason)
WHERE q.id = r.id
    AND q.attempt = r.attempt

-- name: delivery_renew
UPDATE delivery_queue q
SET lease_until = now() + $3::bigint * interval '1 millisecond'
FROM unnest($1::bigint[], $2::integer[]) AS r (id, attempt)
WHERE q.id = r.id
    AND q.attempt = r.attempt

-- Milliseconds until the next retry is due; no row when none waits.
-- name: delivery_next_due
SELECT ceil(extract(epoch FROM due_at - now()) * 1000)::bigint
FROM delivery_queue
WHERE due_at > now()
ORDER BY due_at, id
LIMIT 1

-- name: planner_keep_to_indexes
SELECT set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true)
