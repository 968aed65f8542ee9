-- A take-over's first rows are checked against what they refer to all at once, too.

-- Drops the indexes that only make reading faster, and the foreign keys, while nothing is in the table. How many.
CREATE OR REPLACE FUNCTION takeover_indexes_drop() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    i record;
    dropped integer := 0;
BEGIN
    IF EXISTS (SELECT FROM subscription)
        OR NOT (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'subscription'::regclass) THEN
        RETURN 0;
    END IF;
    FOR i IN
        SELECT format('DROP INDEX %s', indexrelid::regclass) AS drop_it, pg_get_indexdef(indexrelid) AS make_it
        FROM pg_index
        WHERE indrelid = 'subscription'::regclass
            AND NOT indisunique
        UNION ALL
        SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
            format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
        FROM pg_constraint
        WHERE conrelid = 'subscription'::regclass
            AND contype = 'f'
    LOOP
        INSERT INTO takeover_index (definition) VALUES (i.make_it);
        EXECUTE i.drop_it;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
