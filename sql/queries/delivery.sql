-- The queue of deliveries, and what became of them.

-- name: delivery_subscription
SELECT active, completed, process_status
FROM subscription
WHERE id = $1

-- name: delivery_insert
WITH queued AS (
    INSERT INTO delivery_queue (subscription_id, kind, request_id, created_at, resend_request_id, prompt)
    VALUES ($1::uuid, $2::text, nullif($3, ''), $4::timestamptz,
        CASE WHEN $2::text = 'resend' THEN nextval(pg_get_serial_sequence('resend_request', 'id')) END, true)
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

-- Takes failed tasks out: at most $3 of those from above $1 up to $2; where they are not NULL, of a message set ($4),
-- with a reason ($5; as it is, or on one line), with these ids ($6).
-- part: tasks_taken
WITH picked AS (
    SELECT f.id
    FROM failed_task f
    WHERE f.id > $1::bigint
        AND f.id <= $2::bigint
        AND ($4::integer IS NULL OR EXISTS (
            SELECT
            FROM subscription
            WHERE subscription.id = f.subscription_id
                AND subscription.messageset_id = $4::integer
            OFFSET 0
        ))
        AND ($5::text IS NULL OR $5::text IN (f.reason, regexp_replace(f.reason, '[\x01-\x1f\x7f]', ' ', 'g')))
        AND ($6::integer[] IS NULL OR f.id = ANY ($6::integer[]))
    ORDER BY f.id
    LIMIT $3::bigint
    FOR UPDATE OF f SKIP LOCKED
),
taken AS (
    DELETE FROM failed_task f
    USING picked p
    WHERE f.id = p.id
    RETURNING f.id, f.subscription_id, f.kind
)

-- name: failed_task_drop
-- use: tasks_taken
SELECT count(*), coalesce(max(id), 0)
FROM taken

-- And makes fresh deliveries of them, one for each subscription that is ready.
-- name: failed_task_requeue
-- use: tasks_taken
,
judged AS MATERIALIZED (
    SELECT t.id, t.subscription_id, t.kind, s.ready
    FROM taken t
    CROSS JOIN LATERAL (
        SELECT active AND NOT completed AND process_status = 0 AS ready
        FROM subscription
        WHERE id = t.subscription_id
        OFFSET 0
    ) s
),
wanted AS MATERIALIZED (
    SELECT DISTINCT ON (subscription_id) subscription_id, kind
    FROM judged
    WHERE ready
    ORDER BY subscription_id, kind, id
),
queued AS (
    INSERT INTO delivery_queue (subscription_id, kind, created_at, resend_request_id)
    SELECT subscription_id, kind, $7::timestamptz,
        CASE WHEN kind = 'resend' THEN nextval(pg_get_serial_sequence('resend_request', 'id')) END
    FROM wanted
    ON CONFLICT (subscription_id) DO NOTHING
    RETURNING subscription_id, resend_request_id
),
request AS (
    INSERT INTO resend_request (id, subscription_id, received_at)
    SELECT resend_request_id, subscription_id, $7::timestamptz
    FROM queued
    WHERE resend_request_id IS NOT NULL
)
SELECT (SELECT count(*) FROM taken), (SELECT coalesce(max(id), 0) FROM taken),
    (SELECT count(*) FROM queued),
    (SELECT count(*) FROM wanted),
    (SELECT count(*) FROM judged WHERE NOT ready)

-- The statements from here to planner_keep_to_indexes work on tables whose size changes faster than their
-- statistics do, and they are planned once. So they leave the planner no choice of order: rows are found by
-- = ANY of a list, or by LATERAL subqueries with OFFSET 0, and never by a join that could begin with the table.

-- What a delivery's calls need, in the order of the columns of domain/queue.c; $4: whether the time zone is one of them.
-- part: delivery_columns
SELECT c.id, c.due_at, c.attempt, c.tries, c.kind, c.delivery_id, c.subscription_id, coalesce(c.request_id, ''),
    coalesce(c.run_id, 0), coalesce(c.resend_request_id, 0), c.created_at,
    s.id IS NOT NULL, s.active, s.completed, s.process_status, s.identity, s.lang, s.messageset_id, s.sequence_number,
    s.to_addr, s.prepend, t.content_type, coalesce(t.channel, ''), t.short_name,
    m.id, m.text_content, m.metadata, coalesce(b.content, ''),
    s.timezone, c.held

-- part: delivery_known
LEFT JOIN LATERAL (
    SELECT id, active, completed, process_status, identity, lang, messageset_id,
        CASE WHEN c.kind = 'resend' THEN greatest(next_sequence_number - 1, 1) ELSE next_sequence_number END AS sequence_number,
        metadata ->> 'to_addr' AS to_addr, metadata ->> 'prepend_next_delivery' AS prepend,
        CASE WHEN $4::boolean THEN (SELECT timezone FROM schedule WHERE schedule.id = subscription.schedule_id) END AS timezone
    FROM subscription
    WHERE id = c.subscription_id
        AND NOT c.held
    OFFSET 0
) s ON true
LEFT JOIN LATERAL (
    SELECT content_type, channel, short_name
    FROM messageset
    WHERE id = s.messageset_id
    OFFSET 0
) t ON true
LEFT JOIN LATERAL (
    SELECT id, text_content, metadata, binary_content_id
    FROM message
    WHERE messageset_id = s.messageset_id
        AND lang = s.lang
        AND sequence_number = s.sequence_number
    OFFSET 0
) m ON true
LEFT JOIN LATERAL (
    SELECT content
    FROM binarycontent
    WHERE id = m.binary_content_id
    OFFSET 0
) b ON true
ORDER BY c.due_at, c.id

-- What is held is picked once, and put where no further claim comes across it; while everything is held, or when
-- this is an older copy of the database that we knew, nothing is picked. The number of LIMIT is replaced by the setting batch.
-- A claim of prompt deliveries alone asks for q.prompt before anything else. The lease begins now, not with the
-- transaction, in which results may have been written before, for as long as locks made them wait.
-- name: delivery_claim
WITH picked AS MATERIALIZED (
    SELECT q.subscription_id,
        CASE
            WHEN EXISTS (SELECT FROM hold) THEN (
                SELECT 'hold ' || min(h.id)
                FROM subscription s
                JOIN hold h ON h.schedule_id = s.schedule_id
                    OR h.messageset_id = s.messageset_id
                WHERE s.id = q.subscription_id
            )
        END AS gate
    FROM delivery_queue q
    WHERE (q.due_at, q.id) > ($1::timestamptz, $2::bigint)
        AND q.due_at <= now()
        AND (q.lease_until IS NULL OR (q.lease_until < now() AND $6::boolean))
        AND NOT EXISTS (SELECT FROM hold WHERE scope = 'all')
        AND NOT EXISTS (SELECT FROM guard WHERE mark < $5::bigint)
    ORDER BY q.due_at, q.id
    LIMIT 500
    FOR UPDATE OF q SKIP LOCKED
),
claimed AS (
    UPDATE delivery_queue
    SET attempt = attempt + 1,
        lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
    WHERE subscription_id = ANY (ARRAY(SELECT subscription_id FROM picked WHERE gate IS NULL))
    RETURNING id, delivery_id, subscription_id, run_id, kind, resend_request_id, request_id, created_at, due_at, tries, attempt
),
aside AS (
    UPDATE delivery_queue q
    SET attempt = attempt + 1,
        lease_until = NULL,
        due_at = 'infinity',
        gate = (
            SELECT 'hold ' || min(h.id)
            FROM subscription s
            JOIN hold h ON h.schedule_id = s.schedule_id
                OR h.messageset_id = s.messageset_id
            WHERE s.id = q.subscription_id
        ),
        gated_due_at = due_at
    WHERE subscription_id = ANY (ARRAY(SELECT subscription_id FROM picked WHERE gate IS NOT NULL))
    RETURNING id, delivery_id, subscription_id, run_id, kind, resend_request_id, request_id, created_at, gated_due_at, tries, attempt
)
-- use: delivery_columns
FROM (
    SELECT *, false AS held
    FROM claimed
    UNION ALL
    SELECT *, true
    FROM aside
) c
-- use: delivery_known

-- What is known of claimed deliveries that are still ours, anew; those that are held now are left out.
-- name: delivery_refresh
-- use: delivery_columns
FROM (
    SELECT *, false AS held
    FROM delivery_queue q
    WHERE subscription_id = ANY ($1::uuid[])
        AND id = ($2::bigint[])[width_bucket(subscription_id, $1::uuid[])]
        AND attempt = ($3::integer[])[width_bucket(subscription_id, $1::uuid[])]
        AND NOT EXISTS (
            SELECT
            FROM hold h
            WHERE h.scope = 'all'
                OR EXISTS (
                    SELECT
                    FROM subscription
                    WHERE subscription.id = q.subscription_id
                        AND (subscription.schedule_id = h.schedule_id OR subscription.messageset_id = h.messageset_id)
                )
        )
    OFFSET 0
) c
-- use: delivery_known

-- Takes ended deliveries out of the queue: those that are still ours, that is whose id and attempt are the ones
-- that we were given. The subscriptions are in order, so that width_bucket finds the place of each by halving.
-- name: delivery_take_out
DELETE FROM delivery_queue
WHERE subscription_id = ANY ($1::uuid[])
    AND id = ($2::bigint[])[width_bucket(subscription_id, $1::uuid[])]
    AND attempt = ($3::integer[])[width_bucket(subscription_id, $1::uuid[])]
RETURNING subscription_id

-- Of the subscriptions that were sent something: those whose last message that was, locked, so that whether
-- they are active stays as it is. The set's size is the one of now.
-- name: delivery_endings
WITH sent AS (
    SELECT *
    FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[]) AS r (id, messageset_id, lang, sequence_number)
),
size AS MATERIALIZED (
    SELECT p.messageset_id, p.lang,
        (SELECT count(*) FROM message m WHERE m.messageset_id = p.messageset_id AND m.lang = p.lang) AS messages
    FROM (SELECT DISTINCT messageset_id, lang FROM sent) p
)
SELECT s.id, s.active
FROM sent d
JOIN size z ON z.messageset_id = d.messageset_id
    AND z.lang = d.lang
    AND z.messages = d.sequence_number
CROSS JOIN LATERAL (
    SELECT id, active
    FROM subscription
    WHERE id = d.id
        AND messageset_id = d.messageset_id
        AND next_sequence_number = d.sequence_number
        AND NOT completed
    FOR NO KEY UPDATE
    OFFSET 0
) s

-- All that the end of deliveries means, for those that were taken out of the queue: they enter the history,
-- their subscriptions advance or complete, and completed ones are followed by one to the next set. What a
-- client changed while the message was on its way stays: a moved subscription is not moved again, a
-- deactivated one has no follow-on, another text to prepend is kept.
--   $1..$16 one element for each delivery; $17 now
--   $18..$20 subscriptions to move on, and where they were; $21 those to complete; $22 those of them that are
--   followed; $23 those without a recipient; $24, $25 those whose text to prepend went out, and that text
-- name: delivery_finish
WITH done AS (
    SELECT *, outcome IN ('sent', 'dry_run') AS sent
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::integer[], $6::text[], $7::smallint[],
        $8::timestamptz[], $9::text[], $10::integer[], $11::text[], $12::text[], $13::text[], $14::integer[],
        $15::integer[], $16::text[])
        AS r (delivery_id, subscription_id, run_id, kind, resend_request_id, request_id, tries, created_at, outcome,
            message_id, to_addr, outbound_id, reason, messageset_id, sequence_number, lang)
),
history AS (
    INSERT INTO delivery (delivery_id, subscription_id, messageset_id, sequence_number, lang, run_id, kind, state,
        message_id, to_addr, outbound_id, reason, request_id, tries, created_at, finished_at)
    SELECT delivery_id, subscription_id, messageset_id, sequence_number, lang, run_id, kind,
        CASE WHEN outcome = 'no_recipient' THEN 'failed' ELSE outcome END,
        message_id, to_addr, outbound_id, reason, request_id, tries, created_at, $17::timestamptz
    FROM done
),
advanced AS (
    UPDATE subscription s
    SET next_sequence_number = s.next_sequence_number + CASE
            WHEN (s.id, s.messageset_id, s.next_sequence_number) IN (
                SELECT w.id, w.messageset_id, w.sequence_number
                FROM unnest($18::uuid[], $19::integer[], $20::integer[]) AS w (id, messageset_id, sequence_number)
            ) THEN 1
            ELSE 0
        END,
        completed = s.completed OR s.id = ANY ($21::uuid[]),
        active = s.active AND s.id <> ALL ($21::uuid[]),
        process_status = CASE
            WHEN s.id = ANY ($21::uuid[]) THEN 2
            WHEN s.process_status = 0 AND s.id = ANY ($23::uuid[]) THEN -1
            ELSE s.process_status
        END,
        metadata = CASE
            WHEN jsonb_typeof(s.metadata) = 'object'
                AND (s.id, s.metadata ->> 'prepend_next_delivery') IN (
                    SELECT w.id, w.prepend
                    FROM unnest($24::uuid[], $25::text[]) AS w (id, prepend)
                ) THEN s.metadata || '{"prepend_next_delivery": null}'
            ELSE s.metadata
        END,
        updated_at = $17::timestamptz
    WHERE s.id = ANY ($18::uuid[] || $21::uuid[] || $23::uuid[] || $24::uuid[])
),
followed AS (
    INSERT INTO subscription (identity, messageset_id, schedule_id, lang, created_at, updated_at)
    SELECT s.identity, n.id, n.default_schedule_id, s.lang, $17::timestamptz, $17::timestamptz
    FROM subscription s
    CROSS JOIN LATERAL (
        SELECT x.id, x.default_schedule_id
        FROM messageset t
        JOIN messageset x ON x.id = t.next_set_id
        WHERE t.id = s.messageset_id
        OFFSET 0
    ) n
    WHERE s.id = ANY ($22::uuid[])
),
tasks AS (
    INSERT INTO failed_task (subscription_id, task_id, initiated_at, reason, kind)
    SELECT d.subscription_id, d.delivery_id, d.created_at, d.reason, d.kind
    FROM done d
    WHERE d.outcome IN ('failed', 'no_recipient')
        AND EXISTS (SELECT FROM subscription s WHERE s.id = d.subscription_id OFFSET 0)
),
counts AS (
    INSERT INTO run_result (run_id, sent, failed, cancelled)
    SELECT run_id, count(*) FILTER (WHERE sent), count(*) FILTER (WHERE outcome IN ('failed', 'no_recipient')),
        count(*) FILTER (WHERE outcome = 'cancelled')
    FROM done
    WHERE run_id IS NOT NULL
    GROUP BY run_id
)
UPDATE resend_request q
SET outbound = d.outbound_id,
    message_id = (SELECT m.id FROM message m WHERE m.id = d.message_id)
FROM done d
WHERE d.sent
    AND q.id = d.resend_request_id
    AND q.id = ANY ($5::integer[])

-- Subscriptions in order, as in delivery_take_out.
-- name: delivery_put_back
UPDATE delivery_queue
SET lease_until = NULL,
    due_at = CASE
        WHEN ($7::text[])[width_bucket(subscription_id, $1::uuid[])] IS NOT NULL THEN 'infinity'
        WHEN ($4::bigint[])[width_bucket(subscription_id, $1::uuid[])] > 0
            THEN now() + ($4::bigint[])[width_bucket(subscription_id, $1::uuid[])] * interval '1 millisecond'
        ELSE due_at
    END,
    gate = ($7::text[])[width_bucket(subscription_id, $1::uuid[])],
    gated_due_at = CASE WHEN ($7::text[])[width_bucket(subscription_id, $1::uuid[])] IS NOT NULL THEN due_at END,
    tries = tries + ($5::smallint[])[width_bucket(subscription_id, $1::uuid[])],
    tried_at = CASE WHEN ($4::bigint[])[width_bucket(subscription_id, $1::uuid[])] > 0 THEN now() ELSE tried_at END,
    last_error = coalesce(nullif(($6::text[])[width_bucket(subscription_id, $1::uuid[])], ''), last_error)
WHERE subscription_id = ANY ($1::uuid[])
    AND id = ($2::bigint[])[width_bucket(subscription_id, $1::uuid[])]
    AND attempt = ($3::integer[])[width_bucket(subscription_id, $1::uuid[])]

-- name: delivery_renew
UPDATE delivery_queue
SET lease_until = now() + $4::bigint * interval '1 millisecond'
WHERE subscription_id = ANY ($1::uuid[])
    AND id = ($2::bigint[])[width_bucket(subscription_id, $1::uuid[])]
    AND attempt = ($3::integer[])[width_bucket(subscription_id, $1::uuid[])]

-- Milliseconds until the next retry is due; no row when none waits.
-- name: delivery_next_due
SELECT ceil(extract(epoch FROM due_at - now()) * 1000)::bigint
FROM delivery_queue
WHERE due_at > now()
    AND due_at < 'infinity'
ORDER BY due_at, id
LIMIT 1

-- name: planner_keep_to_indexes
SELECT set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true)
