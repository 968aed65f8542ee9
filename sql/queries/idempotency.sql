-- name: idempotency_take
INSERT INTO idempotency (user_id, key, fingerprint, status, body)
VALUES ($1, $2, decode($3, 'hex'), 0, '')
ON CONFLICT (user_id, key) DO UPDATE
SET fingerprint = EXCLUDED.fingerprint, status = 0, location = NULL, body = '', created_at = now()
WHERE idempotency.created_at < now() - interval '24 hours'
RETURNING status

-- name: idempotency_find
SELECT encode(fingerprint, 'hex'), status, location, body
FROM idempotency
WHERE user_id = $1
  AND key = $2

-- name: idempotency_store
UPDATE idempotency
SET status = $3, location = $4, body = $5
WHERE user_id = $1
  AND key = $2

-- name: idempotency_drop
DELETE FROM idempotency
WHERE user_id = $1
  AND key = $2

-- name: idempotency_forget
DELETE FROM idempotency
WHERE created_at < now() - interval '24 hours'

