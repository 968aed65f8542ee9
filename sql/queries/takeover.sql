-- Taking over from a running original. Statements that begin with original_ are for its database: PostgreSQL 9.5 or
-- newer, whatever its age, and only read there. All others are for ours.
--
-- Each table comes the same way: read there, in batches where it is long, into a table takeover_...; what has no
-- place here is put aside (check); then what is gone, changed and new is made so here, in one transaction for each
-- batch. Schedules and sets that are gone go last of all, so what refers to them is checked against those that came.
-- The columns of a read, of the table takeover_... and of a sum are the same, in the same order.

-- ---- the original

-- What this command reads and the original does not have, or does not let us read.
-- name: original_missing
SELECT w.table_name || '.' || w.column_name
FROM (VALUES
    ('django_migrations', 'applied'),
    ('django_content_type', 'app_label'),
    ('auth_permission', 'codename'),
    ('auth_group_permissions', 'group_id'),
    ('auth_user_groups', 'group_id'),
    ('auth_user_user_permissions', 'permission_id'),
    ('auth_user', 'password'),
    ('auth_user', 'is_superuser'),
    ('auth_user', 'date_joined'),
    ('authtoken_token', 'key'),
    ('contentstore_schedule', 'day_of_month'),
    ('contentstore_messageset', 'content_type'),
    ('contentstore_messageset', 'default_schedule_id'),
    ('contentstore_binarycontent', 'content'),
    ('contentstore_message', 'binary_content_id'),
    ('subscriptions_subscription', 'identity'),
    ('subscriptions_subscription', 'initial_sequence_number'),
    ('subscriptions_subscription', 'metadata'),
    ('subscriptions_subscription', 'messageset_id'),
    ('subscriptions_subscription', 'updated_by_id')
) w (table_name, column_name)
WHERE NOT EXISTS (
    SELECT
    FROM information_schema.columns c
    WHERE c.table_schema = ANY (current_schemas(false))
        AND c.table_name = w.table_name
        AND c.column_name = w.column_name
)
ORDER BY 1

-- What tells it from others, and the moment of its data.
-- name: original_identity
SELECT md5(string_agg(m.app || ' ' || m.applied, ',' ORDER BY m.app)), now()
FROM django_migrations m
WHERE m.name = '0001_initial'
    AND m.app IN ('auth', 'contentstore', 'subscriptions')

-- It may set bounds that a pass would not keep, as far as it knows them.
-- name: original_patience
SELECT set_config(name, '0', false)
FROM pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout')

-- Tables that came late in its life.
-- name: original_has
SELECT to_regclass($1) IS NOT NULL

-- Where the next batch begins.
-- name: original_from
SELECT set_config('takeover.from', $1, true)

-- name: original_count
SELECT count(*)
FROM subscriptions_subscription

-- The sum over the rows, whatever their order, as a few digits.
-- part: original_sum
SELECT count(*), left(md5(coalesce(sum(('x' || left(md5(r::text), 15))::bit(60)::bigint), 0)::text), 12)

-- A superuser may do everything there.
-- part: original_user
SELECT u.id, u.username, u.email, u.password, u.is_active, u.is_staff,
    ARRAY(
        SELECT w.name
        FROM unnest(ARRAY['can_find_behind_subscriptions', 'view_behindsubscription']) w (name)
        WHERE u.is_superuser
            OR EXISTS (
                SELECT
                FROM auth_permission p
                JOIN django_content_type c ON c.id = p.content_type_id
                WHERE c.app_label = 'subscriptions'
                    AND p.codename = w.name
                    AND (
                        EXISTS (SELECT FROM auth_user_user_permissions o WHERE o.user_id = u.id AND o.permission_id = p.id)
                        OR EXISTS (
                            SELECT
                            FROM auth_user_groups g
                            JOIN auth_group_permissions o ON o.group_id = g.group_id
                            WHERE g.user_id = u.id
                                AND o.permission_id = p.id
                        )
                    )
            )
        ORDER BY 1
    ) AS permissions,
    u.date_joined
FROM auth_user u

-- name: original_user_copy
COPY (
-- use: original_user
) TO STDOUT

-- name: original_user_sum
-- use: original_sum
FROM (
-- use: original_user
) r

-- It takes a field without anything in it for *. Columns that came late are asked for by name.
-- part: original_schedule
SELECT s.id, coalesce(nullif(btrim(s.minute), ''), '*') AS minute, coalesce(nullif(btrim(s.hour), ''), '*') AS hour,
    coalesce(nullif(btrim(s.day_of_week), ''), '*') AS day_of_week,
    coalesce(nullif(btrim(s.day_of_month), ''), '*') AS day_of_month,
    coalesce(nullif(btrim(s.month_of_year), ''), '*') AS month_of_year,
    (to_jsonb(s) ->> 'scheduler_schedule_id')::uuid AS scheduler_schedule_id
FROM contentstore_schedule s

-- name: original_schedule_copy
COPY (
-- use: original_schedule
) TO STDOUT

-- name: original_schedule_sum
-- use: original_sum
FROM (
-- use: original_schedule
) r

-- part: original_messageset
SELECT s.id, s.short_name, coalesce(to_jsonb(s) ->> 'label', '') AS label, s.notes, s.next_set_id, s.default_schedule_id,
    s.content_type, to_jsonb(s) ->> 'channel' AS channel, s.created_at, s.updated_at
FROM contentstore_messageset s

-- name: original_messageset_copy
COPY (
-- use: original_messageset
) TO STDOUT

-- name: original_messageset_sum
-- use: original_sum
FROM (
-- use: original_messageset
) r

-- part: original_binarycontent
SELECT b.id, b.content
FROM contentstore_binarycontent b

-- name: original_binarycontent_copy
COPY (
-- use: original_binarycontent
) TO STDOUT

-- name: original_binarycontent_sum
-- use: original_sum
FROM (
-- use: original_binarycontent
) r

-- part: original_message
SELECT m.id, m.messageset_id, m.sequence_number, m.lang, m.text_content, m.binary_content_id,
    coalesce(to_jsonb(m) -> 'metadata', '{}'::jsonb) AS metadata, m.created_at, m.updated_at
FROM contentstore_message m

-- name: original_message_copy
COPY (
-- use: original_message
) TO STDOUT

-- name: original_message_sum
-- use: original_sum
FROM (
-- use: original_message
) r

-- Its sum is of the digests, which are made on the way: takeover_token_sum_staged.
-- name: original_token_copy
COPY (
    SELECT t.key, t.user_id, t.created
    FROM authtoken_token t
) TO STDOUT

-- part: original_subscription
SELECT s.id, s.identity, s.version, s.messageset_id, s.schedule_id, s.initial_sequence_number, s.next_sequence_number, s.lang,
    s.active, s.completed, s.process_status, s.metadata, s.created_at, s.updated_at, s.created_by_id, s.updated_by_id
FROM subscriptions_subscription s

-- name: original_subscription_copy
COPY (
-- use: original_subscription
    WHERE s.id >= current_setting('takeover.from')::uuid
    ORDER BY s.id
    LIMIT 20000
) TO STDOUT

-- name: original_subscription_sum
-- use: original_sum
FROM (
-- use: original_subscription
) r

-- part: original_failed_task
SELECT f.id, f.subscription_id, f.task_id, f.initiated_at, f.reason
FROM subscriptions_subscriptionsendfailure f

-- name: original_failed_task_copy
COPY (
-- use: original_failed_task
    WHERE f.id >= current_setting('takeover.from')::integer
    ORDER BY f.id
    LIMIT 20000
) TO STDOUT

-- name: original_failed_task_sum
-- use: original_sum
FROM (
-- use: original_failed_task
) r

-- part: original_resend_request
SELECT q.id, q.subscription_id, q.received_at, q.outbound, q.message_id
FROM subscriptions_resendrequest q

-- name: original_resend_request_copy
COPY (
-- use: original_resend_request
    WHERE q.id >= current_setting('takeover.from')::integer
    ORDER BY q.id
    LIMIT 20000
) TO STDOUT

-- name: original_resend_request_sum
-- use: original_sum
FROM (
-- use: original_resend_request
) r

-- part: original_estimated_send
SELECT e.id, e.send_date, e.messageset_id, e.estimate_subscriptions, e.estimate_identities
FROM subscriptions_estimatedsend e

-- name: original_estimated_send_copy
COPY (
-- use: original_estimated_send
) TO STDOUT

-- name: original_estimated_send_sum
-- use: original_sum
FROM (
-- use: original_estimated_send
) r

-- ---- whether it may be done, and what was done

-- name: takeover_state
SELECT original, passes
FROM takeover

-- What an empty store does not have.
-- name: takeover_content
SELECT format('%s (%s)', w.name, w.n)
FROM (
    SELECT 'schedules' AS name, count(*) AS n FROM schedule
    UNION ALL
    SELECT 'message sets', count(*) FROM messageset
    UNION ALL
    SELECT 'binary contents', count(*) FROM binarycontent
    UNION ALL
    SELECT 'subscriptions', count(*) FROM subscription
    UNION ALL
    SELECT 'users', count(*) FROM api_user
) w
WHERE w.n > 0

-- What there is when sending has begun.
-- name: takeover_sending
SELECT w.name
FROM (
    SELECT 'runs' AS name WHERE EXISTS (SELECT FROM run)
    UNION ALL
    SELECT 'deliveries in the queue' WHERE EXISTS (SELECT FROM delivery_queue)
    UNION ALL
    SELECT 'deliveries' WHERE EXISTS (SELECT FROM delivery)
    UNION ALL
    SELECT 'jobs' WHERE EXISTS (SELECT FROM job)
) w

-- name: takeover_daemons
SELECT name
FROM daemon
WHERE seen_at > now() - interval '1 minute'

-- name: takeover_is_held
SELECT EXISTS (SELECT FROM hold WHERE scope = 'all')

-- name: takeover_begin
INSERT INTO takeover (original, begun_at)
VALUES ($1, $2::timestamptz)

-- One import at a time, for all of a pass; until the end of the transaction.
-- name: takeover_alone
SELECT pg_try_advisory_xact_lock(7311523)

-- A batch waits for what one that was killed has left the server at.
-- name: takeover_lock
SELECT original
FROM takeover
FOR UPDATE

-- name: takeover_indexes_drop
SELECT takeover_indexes_drop()

-- name: takeover_indexes_make
SELECT takeover_indexes_make()

-- name: takeover_end
UPDATE takeover
SET passes = passes + 1,
    data_of = $1::timestamptz

-- Refused rows are found anew by each pass.
-- name: takeover_aside_forget
DELETE FROM takeover_aside
WHERE entity = $1
    AND kind = 'refused'

-- name: takeover_aside_count
SELECT count(*) FILTER (WHERE kind = 'refused'), count(*) FILTER (WHERE kind = 'deleted')
FROM takeover_aside

-- name: takeover_in_process
SELECT count(*)
FROM subscription
WHERE process_status = 1
    AND active
    AND NOT completed

-- Fired there on days that fit both fields, here on days that fit either.
-- name: takeover_both_days
SELECT id, concat_ws(' ', minute, hour, day_of_month, month_of_year, day_of_week)
FROM schedule
WHERE btrim(day_of_month) <> '*'
    AND btrim(day_of_week) <> '*'
ORDER BY id

-- name: takeover_files
SELECT id, content
FROM binarycontent
ORDER BY id

-- name: takeover_clear
TRUNCATE takeover_user, takeover_schedule, takeover_messageset, takeover_binarycontent, takeover_message, takeover_token,
    takeover_subscription, takeover_failed_task, takeover_resend_request, takeover_estimated_send

-- name: takeover_clear_subscription
TRUNCATE takeover_subscription

-- name: takeover_clear_failed_task
TRUNCATE takeover_failed_task

-- name: takeover_clear_resend_request
TRUNCATE takeover_resend_request

-- What comes next of each kind has a number that none had before.
-- name: takeover_sequences
SELECT setval(pg_get_serial_sequence(w.entity, 'id'), w.newest)
FROM (
    SELECT u.entity, greatest(u.newest, (SELECT max(a.row_id::bigint) FROM takeover_aside a WHERE a.entity = u.entity)) AS newest
    FROM (
        SELECT 'api_user' AS entity, max(id)::bigint AS newest FROM api_user
        UNION ALL
        SELECT 'schedule', max(id) FROM schedule
        UNION ALL
        SELECT 'messageset', max(id) FROM messageset
        UNION ALL
        SELECT 'binarycontent', max(id) FROM binarycontent
        UNION ALL
        SELECT 'message', max(id) FROM message
        UNION ALL
        SELECT 'failed_task', max(id) FROM failed_task
        UNION ALL
        SELECT 'resend_request', max(id) FROM resend_request
        UNION ALL
        SELECT 'estimated_send', max(id) FROM estimated_send
    ) u
) w
WHERE w.newest IS NOT NULL

-- Up to this minute the original fired it.
-- name: takeover_tick
INSERT INTO schedule_tick (schedule_id, definition, checked_to)
VALUES ($1::integer, $2, $3::timestamptz)
ON CONFLICT (schedule_id) DO UPDATE
SET definition = excluded.definition,
    checked_to = excluded.checked_to

-- name: takeover_schedules
SELECT id, minute, hour, day_of_week, day_of_month, month_of_year, timezone
FROM schedule
ORDER BY id

-- part: takeover_aside_again
ON CONFLICT (entity, row_id, kind) DO UPDATE
SET reason = excluded.reason,
    content = excluded.content,
    checksum = excluded.checksum,
    put_at = now()
RETURNING row_id, reason

-- ---- api_user

-- name: takeover_user_stage
COPY takeover_user
FROM STDIN

-- name: takeover_user_check
WITH bad AS (
    DELETE FROM takeover_user t
    USING (
        SELECT t.id, CASE
                WHEN t.username = '' THEN 'the user name is empty'
            END AS reason
        FROM takeover_user t
    ) w
    WHERE w.id = t.id
        AND w.reason IS NOT NULL
    RETURNING t.id::text AS row_id, w.reason, to_jsonb(t) - 'password' AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'api_user', row_id, 'refused', reason, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_user_gone
WITH gone AS (
    DELETE FROM api_user s
    WHERE NOT EXISTS (SELECT FROM takeover_user t WHERE t.id = s.id)
    RETURNING s.id::text AS row_id, to_jsonb(s) - 'password' AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'api_user', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_user_park
UPDATE api_user s
SET username = '#' || s.id
FROM takeover_user t
WHERE t.id = s.id
    AND s.username <> t.username

-- name: takeover_user_change
UPDATE api_user s
SET username = t.username, email = t.email, password = t.password, is_active = t.is_active, is_staff = t.is_staff,
    permissions = t.permissions, created_at = t.created_at
FROM takeover_user t
WHERE t.id = s.id
    AND (s.username, s.email, s.password, s.is_active, s.is_staff, s.permissions, s.created_at) IS DISTINCT FROM
        (t.username, t.email, t.password, t.is_active, t.is_staff, t.permissions, t.created_at)

-- name: takeover_user_add
INSERT INTO api_user (id, username, email, password, is_active, is_staff, permissions, created_at)
SELECT t.id, t.username, t.email, t.password, t.is_active, t.is_staff, t.permissions, t.created_at
FROM takeover_user t
WHERE NOT EXISTS (
    SELECT
    FROM api_user s
    WHERE s.id = t.id
)

-- name: takeover_user_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, username, email, password, is_active, is_staff, permissions, created_at
        FROM api_user
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'api_user'
        AND kind = 'refused'
) a

-- ---- schedule

-- name: takeover_schedule_stage
COPY takeover_schedule
FROM STDIN

-- name: takeover_schedule_gone
WITH gone AS (
    DELETE FROM schedule s
    WHERE NOT EXISTS (SELECT FROM takeover_schedule t WHERE t.id = s.id)
    RETURNING s.id::text AS row_id, to_jsonb(s) AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'schedule', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_schedule_change
UPDATE schedule s
SET minute = t.minute, hour = t.hour, day_of_week = t.day_of_week, day_of_month = t.day_of_month,
    month_of_year = t.month_of_year, scheduler_schedule_id = t.scheduler_schedule_id
FROM takeover_schedule t
WHERE t.id = s.id
    AND (s.minute, s.hour, s.day_of_week, s.day_of_month, s.month_of_year, s.scheduler_schedule_id) IS DISTINCT FROM
        (t.minute, t.hour, t.day_of_week, t.day_of_month, t.month_of_year, t.scheduler_schedule_id)

-- name: takeover_schedule_add
INSERT INTO schedule (id, minute, hour, day_of_week, day_of_month, month_of_year, scheduler_schedule_id)
SELECT t.id, t.minute, t.hour, t.day_of_week, t.day_of_month, t.month_of_year, t.scheduler_schedule_id
FROM takeover_schedule t
WHERE NOT EXISTS (
    SELECT
    FROM schedule s
    WHERE s.id = t.id
)

-- name: takeover_schedule_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, minute, hour, day_of_week, day_of_month, month_of_year, scheduler_schedule_id
        FROM schedule
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'schedule'
        AND kind = 'refused'
) a

-- ---- messageset

-- name: takeover_messageset_stage
COPY takeover_messageset
FROM STDIN

-- name: takeover_messageset_check
WITH bad AS (
    DELETE FROM takeover_messageset t
    USING (
        SELECT t.id, CASE
                WHEN t.content_type NOT IN ('text', 'audio') THEN format('the content type is "%s", neither text nor audio', t.content_type)
                WHEN d.id IS NULL THEN format('its default schedule %s is not there', t.default_schedule_id)
                WHEN t.next_set_id IS NOT NULL AND n.id IS NULL THEN format('its next set %s is not there', t.next_set_id)
            END AS reason
        FROM takeover_messageset t
        LEFT JOIN takeover_schedule d ON d.id = t.default_schedule_id
        LEFT JOIN takeover_messageset n ON n.id = t.next_set_id
    ) w
    WHERE w.id = t.id
        AND w.reason IS NOT NULL
    RETURNING t.id::text AS row_id, w.reason, to_jsonb(t) AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'messageset', row_id, 'refused', reason, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_messageset_gone
WITH gone AS (
    DELETE FROM messageset s
    WHERE NOT EXISTS (SELECT FROM takeover_messageset t WHERE t.id = s.id)
    RETURNING s.id::text AS row_id, to_jsonb(s) AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'messageset', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_messageset_park
UPDATE messageset s
SET short_name = '#' || s.id
FROM takeover_messageset t
WHERE t.id = s.id
    AND s.short_name <> t.short_name

-- name: takeover_messageset_change
UPDATE messageset s
SET short_name = t.short_name, label = t.label, notes = t.notes, next_set_id = t.next_set_id,
    default_schedule_id = t.default_schedule_id, content_type = t.content_type, channel = t.channel,
    created_at = t.created_at, updated_at = t.updated_at
FROM takeover_messageset t
WHERE t.id = s.id
    AND (s.short_name, s.label, s.notes, s.next_set_id, s.default_schedule_id, s.content_type, s.channel, s.created_at,
        s.updated_at) IS DISTINCT FROM
        (t.short_name, t.label, t.notes, t.next_set_id, t.default_schedule_id, t.content_type, t.channel, t.created_at,
        t.updated_at)

-- name: takeover_messageset_add
INSERT INTO messageset (id, short_name, label, notes, next_set_id, default_schedule_id, content_type, channel,
    created_at, updated_at)
SELECT t.id, t.short_name, t.label, t.notes, t.next_set_id, t.default_schedule_id, t.content_type, t.channel,
    t.created_at, t.updated_at
FROM takeover_messageset t
WHERE NOT EXISTS (
    SELECT
    FROM messageset s
    WHERE s.id = t.id
)

-- name: takeover_messageset_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, short_name, label, notes, next_set_id, default_schedule_id, content_type, channel, created_at,
            updated_at
        FROM messageset
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'messageset'
        AND kind = 'refused'
) a

-- ---- binarycontent

-- name: takeover_binarycontent_stage
COPY takeover_binarycontent
FROM STDIN

-- name: takeover_binarycontent_gone
WITH gone AS (
    DELETE FROM binarycontent s
    WHERE NOT EXISTS (SELECT FROM takeover_binarycontent t WHERE t.id = s.id)
    RETURNING s.id::text AS row_id, to_jsonb(s) AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'binarycontent', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_binarycontent_change
UPDATE binarycontent s
SET content = t.content
FROM takeover_binarycontent t
WHERE t.id = s.id
    AND s.content IS DISTINCT FROM t.content

-- name: takeover_binarycontent_add
INSERT INTO binarycontent (id, content)
SELECT t.id, t.content
FROM takeover_binarycontent t
WHERE NOT EXISTS (
    SELECT
    FROM binarycontent s
    WHERE s.id = t.id
)

-- name: takeover_binarycontent_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, content
        FROM binarycontent
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'binarycontent'
        AND kind = 'refused'
) a

-- ---- message

-- name: takeover_message_stage
COPY takeover_message
FROM STDIN

-- name: takeover_message_check
WITH bad AS (
    DELETE FROM takeover_message t
    USING (
        SELECT t.id, CASE
                WHEN s.id IS NULL THEN format('its message set %s is not there', t.messageset_id)
                WHEN t.binary_content_id IS NOT NULL AND b.id IS NULL THEN format('its binary content %s is not there', t.binary_content_id)
            END AS reason
        FROM takeover_message t
        LEFT JOIN takeover_messageset s ON s.id = t.messageset_id
        LEFT JOIN binarycontent b ON b.id = t.binary_content_id
    ) w
    WHERE w.id = t.id
        AND w.reason IS NOT NULL
    RETURNING t.id::text AS row_id, w.reason, to_jsonb(t) AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'message', row_id, 'refused', reason, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_message_gone
WITH gone AS (
    DELETE FROM message s
    WHERE NOT EXISTS (SELECT FROM takeover_message t WHERE t.id = s.id)
    RETURNING s.id::text AS row_id, to_jsonb(s) AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'message', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_message_park
UPDATE message s
SET sequence_number = -s.id
FROM takeover_message t
WHERE t.id = s.id
    AND (s.messageset_id, s.lang, s.sequence_number) IS DISTINCT FROM (t.messageset_id, t.lang, t.sequence_number)

-- name: takeover_message_change
UPDATE message s
SET messageset_id = t.messageset_id, sequence_number = t.sequence_number, lang = t.lang,
    text_content = t.text_content, binary_content_id = t.binary_content_id, metadata = t.metadata,
    created_at = t.created_at, updated_at = t.updated_at
FROM takeover_message t
WHERE t.id = s.id
    AND (s.messageset_id, s.sequence_number, s.lang, s.text_content, s.binary_content_id, s.metadata::text, s.created_at,
        s.updated_at) IS DISTINCT FROM
        (t.messageset_id, t.sequence_number, t.lang, t.text_content, t.binary_content_id, t.metadata::text, t.created_at,
        t.updated_at)

-- name: takeover_message_add
INSERT INTO message (id, messageset_id, sequence_number, lang, text_content, binary_content_id, metadata, created_at,
    updated_at)
SELECT t.id, t.messageset_id, t.sequence_number, t.lang, t.text_content, t.binary_content_id, t.metadata,
    t.created_at, t.updated_at
FROM takeover_message t
WHERE NOT EXISTS (
    SELECT
    FROM message s
    WHERE s.id = t.id
)

-- name: takeover_message_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, messageset_id, sequence_number, lang, text_content, binary_content_id, metadata, created_at,
            updated_at
        FROM message
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'message'
        AND kind = 'refused'
) a

-- ---- api_token

-- name: takeover_token_stage
COPY takeover_token
FROM STDIN

-- name: takeover_token_check
WITH bad AS (
    DELETE FROM takeover_token t
    USING (
        SELECT t.digest, CASE
                WHEN length(t.digest) < 32 THEN 'it is not of 40 hex digits in lower case, the only ones that are let in'
                WHEN u.id IS NULL THEN format('its user %s is not there', t.user_id)
            END AS reason
        FROM takeover_token t
        LEFT JOIN api_user u ON u.id = t.user_id
    ) w
    WHERE w.digest = t.digest
        AND w.reason IS NOT NULL
    RETURNING 'of user ' || t.user_id AS row_id, w.reason, to_jsonb(t) - 'digest' AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'api_token', row_id, 'refused', reason, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_token_gone
WITH gone AS (
    DELETE FROM api_token s
    WHERE NOT EXISTS (SELECT FROM takeover_token t WHERE t.digest = s.digest)
    RETURNING 'of user ' || s.user_id AS row_id, to_jsonb(s) - 'digest' AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'api_token', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_token_change
UPDATE api_token s
SET user_id = t.user_id, created_at = t.created_at
FROM takeover_token t
WHERE t.digest = s.digest
    AND (s.user_id, s.created_at) IS DISTINCT FROM
        (t.user_id, t.created_at)

-- name: takeover_token_add
INSERT INTO api_token (digest, user_id, created_at)
SELECT t.digest, t.user_id, t.created_at
FROM takeover_token t
WHERE NOT EXISTS (
    SELECT
    FROM api_token s
    WHERE s.digest = t.digest
)

-- name: takeover_token_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT digest, user_id, created_at
        FROM api_token
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'api_token'
        AND kind = 'refused'
) a

-- ---- subscription

-- name: takeover_subscription_stage
COPY takeover_subscription
FROM STDIN

-- name: takeover_subscription_check
WITH bad AS (
    DELETE FROM takeover_subscription t
    USING (
        SELECT t.id, CASE
                WHEN m.id IS NULL THEN format('its message set %s is not there', t.messageset_id)
                WHEN c.id IS NULL THEN format('its schedule %s is not there', t.schedule_id)
                WHEN t.created_by_id IS NOT NULL AND u.id IS NULL THEN format('user %s, who made it, is not there', t.created_by_id)
                WHEN t.updated_by_id IS NOT NULL AND v.id IS NULL THEN format('user %s, who changed it, is not there', t.updated_by_id)
            END AS reason
        FROM takeover_subscription t
        LEFT JOIN takeover_messageset m ON m.id = t.messageset_id
        LEFT JOIN takeover_schedule c ON c.id = t.schedule_id
        LEFT JOIN api_user u ON u.id = t.created_by_id
        LEFT JOIN api_user v ON v.id = t.updated_by_id
    ) w
    WHERE w.id = t.id
        AND w.reason IS NOT NULL
    RETURNING t.id::text AS row_id, w.reason, to_jsonb(t) AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'subscription', row_id, 'refused', reason, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_subscription_gone
WITH gone AS (
    DELETE FROM subscription s
    WHERE NOT EXISTS (SELECT FROM takeover_subscription t WHERE t.id = s.id)
        AND s.id BETWEEN $1::uuid AND $2::uuid
    RETURNING s.id::text AS row_id, to_jsonb(s) AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'subscription', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_subscription_change
UPDATE subscription s
SET identity = t.identity, version = t.version, messageset_id = t.messageset_id, schedule_id = t.schedule_id,
    initial_sequence_number = t.initial_sequence_number, next_sequence_number = t.next_sequence_number, lang = t.lang,
    active = t.active, completed = t.completed, process_status = t.process_status, metadata = t.metadata,
    created_at = t.created_at, updated_at = t.updated_at, created_by_id = t.created_by_id,
    updated_by_id = t.updated_by_id
FROM takeover_subscription t
WHERE t.id = s.id
    AND s.id BETWEEN $1::uuid AND $2::uuid
    AND (s.identity, s.version, s.messageset_id, s.schedule_id, s.initial_sequence_number, s.next_sequence_number, s.lang,
        s.active, s.completed, s.process_status, s.metadata::text, s.created_at, s.updated_at, s.created_by_id,
        s.updated_by_id) IS DISTINCT FROM
        (t.identity, t.version, t.messageset_id, t.schedule_id, t.initial_sequence_number, t.next_sequence_number, t.lang,
        t.active, t.completed, t.process_status, t.metadata::text, t.created_at, t.updated_at, t.created_by_id,
        t.updated_by_id)

-- name: takeover_subscription_add
INSERT INTO subscription (id, identity, version, messageset_id, schedule_id, initial_sequence_number,
    next_sequence_number, lang, active, completed, process_status, metadata, created_at, updated_at, created_by_id,
    updated_by_id)
SELECT t.id, t.identity, t.version, t.messageset_id, t.schedule_id, t.initial_sequence_number, t.next_sequence_number,
    t.lang, t.active, t.completed, t.process_status, t.metadata, t.created_at, t.updated_at, t.created_by_id,
    t.updated_by_id
FROM takeover_subscription t
WHERE NOT EXISTS (
    SELECT
    FROM subscription s
    WHERE s.id = t.id
        AND s.id BETWEEN $1::uuid AND $2::uuid
)

-- name: takeover_subscription_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, identity, version, messageset_id, schedule_id, initial_sequence_number, next_sequence_number, lang,
            active, completed, process_status, metadata, created_at, updated_at, created_by_id, updated_by_id
        FROM subscription
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'subscription'
        AND kind = 'refused'
) a

-- ---- failed_task

-- name: takeover_failed_task_stage
COPY takeover_failed_task
FROM STDIN

-- name: takeover_failed_task_check
WITH bad AS (
    DELETE FROM takeover_failed_task t
    USING (
        SELECT t.id, CASE
                WHEN s.id IS NULL THEN format('its subscription %s is not there', t.subscription_id)
            END AS reason
        FROM takeover_failed_task t
        LEFT JOIN subscription s ON s.id = t.subscription_id
    ) w
    WHERE w.id = t.id
        AND w.reason IS NOT NULL
    RETURNING t.id::text AS row_id, w.reason, to_jsonb(t) AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'failed_task', row_id, 'refused', reason, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_failed_task_gone
WITH gone AS (
    DELETE FROM failed_task s
    WHERE NOT EXISTS (SELECT FROM takeover_failed_task t WHERE t.id = s.id)
        AND s.id BETWEEN $1::integer AND $2::integer
    RETURNING s.id::text AS row_id, to_jsonb(s) AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'failed_task', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_failed_task_change
UPDATE failed_task s
SET subscription_id = t.subscription_id, task_id = t.task_id, initiated_at = t.initiated_at, reason = t.reason
FROM takeover_failed_task t
WHERE t.id = s.id
    AND s.id BETWEEN $1::integer AND $2::integer
    AND (s.subscription_id, s.task_id, s.initiated_at, s.reason) IS DISTINCT FROM
        (t.subscription_id, t.task_id, t.initiated_at, t.reason)

-- name: takeover_failed_task_add
INSERT INTO failed_task (id, subscription_id, task_id, initiated_at, reason)
SELECT t.id, t.subscription_id, t.task_id, t.initiated_at, t.reason
FROM takeover_failed_task t
WHERE NOT EXISTS (
    SELECT
    FROM failed_task s
    WHERE s.id = t.id
        AND s.id BETWEEN $1::integer AND $2::integer
)

-- name: takeover_failed_task_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, subscription_id, task_id, initiated_at, reason
        FROM failed_task
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'failed_task'
        AND kind = 'refused'
) a

-- ---- resend_request

-- name: takeover_resend_request_stage
COPY takeover_resend_request
FROM STDIN

-- name: takeover_resend_request_check
WITH bad AS (
    DELETE FROM takeover_resend_request t
    USING (
        SELECT t.id, CASE
                WHEN s.id IS NULL THEN format('its subscription %s is not there', t.subscription_id)
                WHEN t.message_id IS NOT NULL AND m.id IS NULL THEN format('its message %s is not there', t.message_id)
            END AS reason
        FROM takeover_resend_request t
        LEFT JOIN subscription s ON s.id = t.subscription_id
        LEFT JOIN message m ON m.id = t.message_id
    ) w
    WHERE w.id = t.id
        AND w.reason IS NOT NULL
    RETURNING t.id::text AS row_id, w.reason, to_jsonb(t) AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'resend_request', row_id, 'refused', reason, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_resend_request_gone
WITH gone AS (
    DELETE FROM resend_request s
    WHERE NOT EXISTS (SELECT FROM takeover_resend_request t WHERE t.id = s.id)
        AND s.id BETWEEN $1::integer AND $2::integer
    RETURNING s.id::text AS row_id, to_jsonb(s) AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'resend_request', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_resend_request_change
UPDATE resend_request s
SET subscription_id = t.subscription_id, received_at = t.received_at, outbound = t.outbound, message_id = t.message_id
FROM takeover_resend_request t
WHERE t.id = s.id
    AND s.id BETWEEN $1::integer AND $2::integer
    AND (s.subscription_id, s.received_at, s.outbound, s.message_id) IS DISTINCT FROM
        (t.subscription_id, t.received_at, t.outbound, t.message_id)

-- name: takeover_resend_request_add
INSERT INTO resend_request (id, subscription_id, received_at, outbound, message_id)
SELECT t.id, t.subscription_id, t.received_at, t.outbound, t.message_id
FROM takeover_resend_request t
WHERE NOT EXISTS (
    SELECT
    FROM resend_request s
    WHERE s.id = t.id
        AND s.id BETWEEN $1::integer AND $2::integer
)

-- name: takeover_resend_request_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, subscription_id, received_at, outbound, message_id
        FROM resend_request
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'resend_request'
        AND kind = 'refused'
) a

-- ---- estimated_send

-- name: takeover_estimated_send_stage
COPY takeover_estimated_send
FROM STDIN

-- name: takeover_estimated_send_check
WITH bad AS (
    DELETE FROM takeover_estimated_send t
    USING (
        SELECT t.id, CASE
                WHEN s.id IS NULL THEN format('its message set %s is not there', t.message_set_id)
            END AS reason
        FROM takeover_estimated_send t
        LEFT JOIN takeover_messageset s ON s.id = t.message_set_id
    ) w
    WHERE w.id = t.id
        AND w.reason IS NOT NULL
    RETURNING t.id::text AS row_id, w.reason, to_jsonb(t) AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'estimated_send', row_id, 'refused', reason, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_estimated_send_gone
WITH gone AS (
    DELETE FROM estimated_send s
    WHERE NOT EXISTS (SELECT FROM takeover_estimated_send t WHERE t.id = s.id)
    RETURNING s.id::text AS row_id, to_jsonb(s) AS content
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'estimated_send', row_id, 'deleted', 'the original has it no more, or no place is left for it', content, 0
FROM gone
-- use: takeover_aside_again

-- name: takeover_estimated_send_change
UPDATE estimated_send s
SET send_date = t.send_date, message_set_id = t.message_set_id, estimate_subscriptions = t.estimate_subscriptions,
    estimate_identities = t.estimate_identities
FROM takeover_estimated_send t
WHERE t.id = s.id
    AND (s.send_date, s.message_set_id, s.estimate_subscriptions, s.estimate_identities) IS DISTINCT FROM
        (t.send_date, t.message_set_id, t.estimate_subscriptions, t.estimate_identities)

-- name: takeover_estimated_send_add
INSERT INTO estimated_send (id, send_date, message_set_id, estimate_subscriptions, estimate_identities)
SELECT t.id, t.send_date, t.message_set_id, t.estimate_subscriptions, t.estimate_identities
FROM takeover_estimated_send t
WHERE NOT EXISTS (
    SELECT
    FROM estimated_send s
    WHERE s.id = t.id
)

-- name: takeover_estimated_send_sum
SELECT h.n, a.n, left(md5((h.total + a.total)::text), 12)
FROM (
    SELECT count(*) AS n, coalesce(sum(takeover_checksum(r::text)), 0) AS total
    FROM (
        SELECT id, send_date, message_set_id, estimate_subscriptions, estimate_identities
        FROM estimated_send
    ) r
) h
CROSS JOIN (
    SELECT count(*) AS n, coalesce(sum(checksum), 0) AS total
    FROM takeover_aside
    WHERE entity = 'estimated_send'
        AND kind = 'refused'
) a

-- ---- what does not go that way

-- The fields of those that came, to be read as the service reads them.
-- name: takeover_schedule_fields
SELECT id, minute, hour, day_of_week, day_of_month, month_of_year
FROM takeover_schedule
ORDER BY id

-- One that the service cannot read.
-- name: takeover_schedule_refuse
WITH bad AS (
    DELETE FROM takeover_schedule t
    WHERE t.id = $1::integer
    RETURNING t.id::text AS row_id, to_jsonb(t) AS content, takeover_checksum(t::text) AS checksum
)
INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum)
SELECT 'schedule', row_id, 'refused', $2, content, checksum
FROM bad
-- use: takeover_aside_again

-- name: takeover_token_sum_staged
SELECT count(*), left(md5(coalesce(sum(takeover_checksum(t::text)), 0)::text), 12)
FROM takeover_token t
