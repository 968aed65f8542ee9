-- name: invariant_check
SELECT name, rule, violations, example
FROM invariant
ORDER BY name
