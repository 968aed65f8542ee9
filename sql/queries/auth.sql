-- name: auth_token
SELECT u.id, u.username, u.is_active, u.is_staff,
  'view_behindsubscription' = ANY (u.permissions), 'can_find_behind_subscriptions' = ANY (u.permissions)
FROM api_token t
JOIN api_user u ON u.id = t.user_id
WHERE t.digest = decode($1, 'hex')
  AND t.revoked_at IS NULL

-- name: auth_password
SELECT id, username, is_active, is_staff,
  'view_behindsubscription' = ANY (permissions), 'can_find_behind_subscriptions' = ANY (permissions), password
FROM api_user
WHERE username = $1

