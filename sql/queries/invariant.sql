-- name: invariant_check
SELECT name, rule, violations, coalesce(example, '')
FROM invariant
ORDER BY name
