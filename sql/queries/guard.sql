-- What the sender daemon knows its database by; migration 0002 explains the columns.

-- name: guard_read
SELECT lineage, mark, nonce, sent, marked_at, coalesce(place, ''), guard_place(), coalesce(timeline, ''), guard_timeline(), held_at IS NOT NULL
FROM guard

-- Only on top of what this daemon has seen.
-- name: guard_mark
UPDATE guard
SET mark = mark + 1,
    nonce = gen_random_uuid(),
    marked_at = now(),
    sent = sent + $1::bigint,
    place = guard_place(),
    timeline = guard_timeline()
WHERE mark >= $2::bigint
    AND held_at IS NULL

-- name: guard_hold
WITH guarded AS (
    UPDATE guard
    SET held_at = coalesce(held_at, now()),
        seen_mark = greatest(seen_mark, $1::bigint)
)
INSERT INTO hold (scope, reason, created_at)
VALUES ('all', $2, $3::timestamptz)
ON CONFLICT (scope, coalesce(schedule_id, messageset_id, 0)) DO UPDATE
SET reason = excluded.reason
WHERE hold.reason <> excluded.reason
