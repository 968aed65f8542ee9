-- Tokens that the API gives out.

-- name: token_create_for_email
WITH known AS (
    INSERT INTO api_user (username, email, created_at)
    VALUES ($1, $1, $3::timestamptz)
    ON CONFLICT (username) DO UPDATE SET username = excluded.username
    RETURNING id
)
INSERT INTO api_token (digest, user_id, created_at)
SELECT decode($2, 'hex'), id, $3::timestamptz
FROM known

-- name: token_find_user
SELECT id, password, is_active
FROM api_user
WHERE username = $1

-- name: token_create
INSERT INTO api_token (user_id, digest, created_at)
VALUES ($1::integer, decode($2, 'hex'), $3::timestamptz)
