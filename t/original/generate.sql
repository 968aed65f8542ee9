-- A programme in the original's tables, with :subscriptions of them (psql -v subscriptions=100000). Nothing is by
-- chance, so that two runs make the same.

BEGIN;
INSERT INTO django_migrations (app, name, applied)
VALUES ('contenttypes', '0001_initial', '2016-02-24 08:01:11.019437+00'), ('auth', '0001_initial', '2016-02-24 08:01:11.310022+00'),
    ('contentstore', '0001_initial', '2016-02-24 08:01:12.004918+00'), ('subscriptions', '0001_initial', '2016-02-24 08:01:12.700513+00'),
    ('contentstore', '0011_message_metadata', '2019-03-04 10:22:41.118209+00'),
    ('subscriptions', '0010_add_can_find_behind_subscriptions_permission', '2018-12-03 09:15:00.530771+00');
INSERT INTO django_content_type (app_label, model)
VALUES ('auth', 'user'), ('subscriptions', 'subscription'), ('subscriptions', 'behindsubscription');
INSERT INTO auth_permission (name, content_type_id, codename)
VALUES ('Can add user', 1, 'add_user'), ('Can change subscription', 2, 'change_subscription'),
    ('Can view behind subscription', 3, 'view_behindsubscription'), ('Can find behind subscriptions', 3, 'can_find_behind_subscriptions');
INSERT INTO auth_group (name) VALUES ('operators');
INSERT INTO auth_group_permissions (group_id, permission_id) VALUES (1, 3);

-- 1 a superuser; 2 the Hub, by token; 3 sees who is behind, as one of a group; 4 may look for them, too; 5 is not let
-- in. The passwords of 1 and 3 are "correct horse" and "battery staple"; the others have none.
INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
VALUES (1, 'pbkdf2_sha256$150000$salt1234abcd$q8hnm0LvUrBcVeZ9KSbo+bxNRJDNrz3izmEHw43VE4M=', true, 'admin', 'Ada', 'Min', 'admin@example.org', true, true, '2016-02-24 08:05:00.25+00'),
    (2, '!unusable', false, 'hub@example.org', '', '', 'hub@example.org', false, true, '2016-02-25 10:00:00+00'),
    (3, 'pbkdf2_sha256$36000$operatorsalt$7qyncnV0RFL1kKMxw0tXXcwL8iLj9gElTG06zZHl9/w=', false, 'operator', '', '', '', false, true, '2017-01-02 03:04:05+00'),
    (4, '!', false, 'scheduler', '', '', '', false, true, '2017-05-06 07:08:09.123456+00'),
    (9, '!', false, 'former', '', '', '', true, false, '2018-05-06 07:08:09+00');
INSERT INTO auth_user_groups (user_id, group_id) VALUES (3, 1);
INSERT INTO auth_user_user_permissions (user_id, permission_id) VALUES (4, 3), (4, 4), (9, 1);
INSERT INTO authtoken_token (key, created, user_id)
SELECT left(md5('token' || id) || md5('of' || id), 40), date_joined + interval '1 hour', id
FROM auth_user
WHERE id <> 3;

INSERT INTO contentstore_schedule (id, minute, hour, day_of_week, day_of_month, month_of_year, scheduler_schedule_id)
VALUES (1, '0', '6', '1,3', '*', '*', '5c000000-0000-4000-8000-000000000001'), (2, '30', '8', '1-5', '*', '*', NULL),
    (5, '0', '7', '*', '*', '', '5c000000-0000-4000-8000-000000000005'), (6, '15', '9', '1', '*', '*', NULL);
INSERT INTO contentstore_messageset (id, short_name, label, notes, default_schedule_id, next_set_id, content_type, channel, created_at, updated_at)
VALUES (1, 'prebirth.mother.1', 'Pregnancy', NULL, 1, 3, 'text', NULL, '2016-03-01 00:00+00', '2019-01-01 00:00+00'),
    (3, 'postbirth.mother.1', '', 'from birth on', 2, NULL, 'text', 'SMS', '2016-03-01 00:00:00.5+00', '2019-01-01 00:00+00'),
    (4, 'audio.mother.1', 'By telephone', NULL, 5, NULL, 'audio', 'VOICE', '2016-04-01 00:00+00', '2019-01-01 00:00+00'),
    (7, 'whatsapp.mother.1', '', '', 6, 3, 'text', 'JUNE_WHATSAPP', '2018-04-01 00:00+00', '2019-01-01 00:00+00');
INSERT INTO contentstore_binarycontent (id, content, created_at, updated_at)
SELECT 10 + n, to_char(timestamp '2016-05-01 10:00' + n * interval '61.5 seconds', 'YYYYMMDDHH24MISSUS') || '.mp3',
    '2016-05-01 10:00+00', '2016-05-01 10:00+00'
FROM generate_series(1, 12) n;
INSERT INTO contentstore_message (id, messageset_id, sequence_number, lang, text_content, binary_content_id, metadata, created_at, updated_at)
SELECT row_number() OVER (ORDER BY s.id, l.lang, n) + 100, s.id, n, l.lang,
    CASE WHEN s.content_type = 'text' THEN format(E'%s %s in %s: tab\there, quote "\\", ünïcode ☺', s.short_name, n, l.lang) END,
    CASE WHEN s.content_type = 'audio' THEN 10 + n END,
    CASE WHEN n % 3 = 0 THEN jsonb_build_object('template', jsonb_build_object('name', 'm' || n, 'weight', 1.50)) ELSE '{}' END,
    '2016-05-01 10:00+00', timestamptz '2016-05-01 10:00+00' + n * interval '1 minute 0.000001 seconds'
FROM contentstore_messageset s
CROSS JOIN (VALUES ('eng_ZA'), ('zul_ZA')) l (lang)
CROSS JOIN LATERAL generate_series(1, CASE s.id WHEN 4 THEN 12 ELSE 20 END) n;

-- Of twenty: sixteen under way, two at their end, one completed, one that was stopped; now and then one without an
-- address, or in the midst of a send.
INSERT INTO subscriptions_subscription (id, identity, version, messageset_id, schedule_id, initial_sequence_number, next_sequence_number,
    lang, active, completed, process_status, metadata, created_at, updated_at, created_by_id, updated_by_id)
SELECT md5('subscription' || n)::uuid, md5('identity' || n / 2)::uuid::text, 1, p.set_id, p.schedule_id, 1 + (n % 7 = 0)::integer,
    CASE WHEN n % 20 IN (17, 18, 19) THEN p.size ELSE 2 + n % (p.size - 2) END, CASE WHEN n % 3 = 0 THEN 'zul_ZA' ELSE 'eng_ZA' END,
    n % 20 NOT IN (16, 19), n % 20 = 19, CASE WHEN n % 20 = 19 THEN 2 WHEN n % 97 = 0 THEN -1 WHEN n % 203 = 0 THEN 1 ELSE 0 END,
    CASE
        WHEN n % 11 = 0 THEN NULL
        WHEN n % 13 = 0 THEN jsonb_build_object('prepend_next_delivery', 'A word before', 'scheduler_schedule_id', n::text)
        ELSE jsonb_build_object('scheduler_schedule_id', md5('scheduler' || n), 'source', 'clinic ' || n % 400, 'weeks', n % 40)
    END,
    timestamptz '2018-01-01 00:00+00' + n * interval '17.000003 seconds', timestamptz '2019-01-01 00:00+00' + n * interval '3.7 seconds',
    CASE WHEN n % 5 > 0 THEN 2 END, CASE WHEN n % 5 > 1 THEN 2 END
FROM generate_series(1, :subscriptions) n
JOIN (VALUES (0, 1, 1, 20), (1, 3, 2, 20), (2, 4, 5, 12), (3, 7, 6, 20)) p (k, set_id, schedule_id, size) ON p.k = n / 5 % 4;
INSERT INTO subscriptions_subscriptionsendfailure (task_id, initiated_at, reason, subscription_id)
SELECT md5('task' || n)::uuid, '2019-02-01 00:00+00', E'HTTPError\n500 Server Error\tfor url', md5('subscription' || n)::uuid
FROM generate_series(1, :subscriptions, 50) n;
INSERT INTO subscriptions_resendrequest (received_at, outbound, message_id, subscription_id)
SELECT '2019-02-02 00:00+00', CASE WHEN n % 2 = 0 THEN md5('outbound' || n)::uuid END, CASE WHEN n % 2 = 0 THEN 101 + n % 40 END, md5('subscription' || n)::uuid
FROM generate_series(1, :subscriptions, 33) n;
INSERT INTO subscriptions_estimatedsend (send_date, estimate_subscriptions, estimate_identities, messageset_id)
SELECT date '2019-02-01' + n, n * 3, n * 2, s.id
FROM generate_series(1, 30) n
CROSS JOIN contentstore_messageset s;
INSERT INTO subscriptions_behindsubscription (messages_behind, current_sequence_number, expected_sequence_number, created_at,
    current_messageset_id, expected_messageset_id, subscription_id)
SELECT 1, next_sequence_number, next_sequence_number + 1, '2019-02-01 00:00+00', messageset_id, messageset_id, id
FROM subscriptions_subscription
LIMIT 10;

SELECT setval(pg_get_serial_sequence(w.name, 'id'), w.newest)
FROM (
    SELECT 'auth_user' AS name, max(id) AS newest FROM auth_user
    UNION ALL
    SELECT 'contentstore_schedule', max(id) FROM contentstore_schedule
    UNION ALL
    SELECT 'contentstore_messageset', max(id) FROM contentstore_messageset
    UNION ALL
    SELECT 'contentstore_binarycontent', max(id) FROM contentstore_binarycontent
    UNION ALL
    SELECT 'contentstore_message', max(id) FROM contentstore_message
) w;
COMMIT;
ANALYZE;
