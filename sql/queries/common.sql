-- name: schema_table
SELECT count(*)
FROM pg_catalog.pg_class
WHERE oid = to_regclass('schema_migration')

-- name: schema_version
SELECT coalesce(max(version), 0)
FROM schema_migration
