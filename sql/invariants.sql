-- What must hold of the data at any time, whatever happened to the processes: a view for each rule, empty when
-- it holds.  `sbmctl migrate` makes them anew each time, so this file may change; sbmctl verify reads them
-- through the last view.  A view has the columns subject (what breaks the rule) and detail.

DROP VIEW IF EXISTS invariant;

-- The same message to the same subscription twice in one run.
CREATE OR REPLACE VIEW invariant_delivered_once AS
SELECT d.subscription_id::text AS subject,
    format('message %s of message set %s was delivered %s times in run %s', d.sequence_number, d.messageset_id, count(*), d.run_id) AS detail
FROM delivery d
WHERE d.state IN ('sent', 'dry_run')
    AND d.kind = 'next'
    AND d.run_id IS NOT NULL
GROUP BY d.subscription_id, d.messageset_id, d.sequence_number, d.run_id
HAVING count(*) > 1;

-- A subscription that is ready, but on a schedule that is not there.
CREATE OR REPLACE VIEW invariant_ready_has_schedule AS
SELECT s.id::text AS subject,
    format('ready, but schedule %s is not there', s.schedule_id) AS detail
FROM subscription s
LEFT JOIN schedule c ON c.id = s.schedule_id
WHERE s.active
    AND NOT s.completed
    AND s.process_status = 0
    AND c.id IS NULL;

-- A delivery whose lease ran out a while ago, and that no sender process took over.
CREATE OR REPLACE VIEW invariant_lease_in_time AS
SELECT q.delivery_id::text AS subject,
    format('leased until %s, and nobody took it over since', q.lease_until) AS detail
FROM delivery_queue q
WHERE q.lease_until < now() - interval '1 minute';

-- A subscription that its last send completed, but that is not where that message was. One that somebody
-- changed since is none of these.
CREATE OR REPLACE VIEW invariant_completed_at_end AS
SELECT s.id::text AS subject,
    format('completed at message %s, active %s; its last delivery was message %s of message set %s', s.next_sequence_number,
        s.active, d.sequence_number, d.messageset_id) AS detail
FROM subscription s
CROSS JOIN LATERAL (
    SELECT l.messageset_id, l.sequence_number, l.finished_at
    FROM delivery l
    WHERE l.subscription_id = s.id
        AND l.kind = 'next'
        AND l.state IN ('sent', 'dry_run')
    ORDER BY l.finished_at DESC
    LIMIT 1
) d
WHERE s.completed
    AND s.process_status = 2
    AND s.messageset_id = d.messageset_id
    AND s.updated_at = d.finished_at
    AND (s.active OR s.next_sequence_number <> d.sequence_number);

-- A run whose sums do not agree: with each other when it has ended, and with the queue before.
CREATE OR REPLACE VIEW invariant_run_adds_up AS
SELECT r.id::text AS subject,
    format('%s queued; %s sent, %s failed, %s cancelled, %s still in the queue', r.queued, r.sent, r.failed, r.cancelled, w.waiting) AS detail
FROM (
    SELECT u.id, u.queued, u.finished_at,
        u.sent + coalesce(sum(f.sent), 0) AS sent,
        u.failed + coalesce(sum(f.failed), 0) AS failed,
        u.cancelled + coalesce(sum(f.cancelled), 0) AS cancelled
    FROM run u
    LEFT JOIN run_result f ON f.run_id = u.id
    GROUP BY u.id
) r
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting
    FROM delivery_queue q
    WHERE q.run_id = r.id
) w
WHERE r.sent + r.failed + r.cancelled + w.waiting <> r.queued
    OR (r.finished_at IS NOT NULL AND w.waiting > 0);

-- All of them: the rule's name, what it says, how often it is broken, and where for instance.
CREATE VIEW invariant AS
SELECT i.name, i.rule, count(i.subject) AS violations, min(i.subject || ': ' || i.detail) AS example
FROM (
    SELECT 'delivered_once' AS name, 'no message goes twice to a subscription in one run' AS rule, v.subject, v.detail
    FROM (VALUES (1)) one (n)
    LEFT JOIN invariant_delivered_once v ON true
    UNION ALL
    SELECT 'ready_has_schedule', 'no ready subscription is without a schedule', v.subject, v.detail
    FROM (VALUES (1)) one (n)
    LEFT JOIN invariant_ready_has_schedule v ON true
    UNION ALL
    SELECT 'lease_in_time', 'no delivery is leased past its limit', v.subject, v.detail
    FROM (VALUES (1)) one (n)
    LEFT JOIN invariant_lease_in_time v ON true
    UNION ALL
    SELECT 'completed_at_end', 'a completed subscription is at its end', v.subject, v.detail
    FROM (VALUES (1)) one (n)
    LEFT JOIN invariant_completed_at_end v ON true
    UNION ALL
    SELECT 'run_adds_up', 'the sums of a run agree', v.subject, v.detail
    FROM (VALUES (1)) one (n)
    LEFT JOIN invariant_run_adds_up v ON true
) i
GROUP BY i.name, i.rule;
