-- What a sender daemon knows its database by, so that one that was put back from a backup is not taken for the one
-- that was left: its messages were sent already.

CREATE TABLE guard (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- the same in all copies of this database
    lineage uuid NOT NULL DEFAULT gen_random_uuid(),
    -- goes up every few seconds while messages are sent, a new nonce with each; the daemons keep the last one that
    -- they saw in a file of their own too (setting state_file)
    mark bigint NOT NULL DEFAULT 0,
    nonce uuid NOT NULL DEFAULT gen_random_uuid(),
    -- by the database's clock
    marked_at timestamptz NOT NULL DEFAULT now(),
    -- messages sent up to the mark
    sent bigint NOT NULL DEFAULT 0,
    -- guard_place() and guard_timeline() at the mark; NULL before the first daemon
    place text,
    timeline text,
    -- all is held since then, because this is an older copy; the highest mark that a daemon had seen before
    held_at timestamptz,
    seen_mark bigint
) WITH (fillfactor = 20);
INSERT INTO guard DEFAULT VALUES;

-- Another one in every copy that pg_restore or CREATE DATABASE made, and in another cluster.
CREATE FUNCTION guard_place() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT (SELECT system_identifier FROM pg_control_system())
        || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
        || '/' || 'guard'::regclass::oid
$$;

-- Another one after a recovery to a point in time, and on a standby that was promoted.
CREATE FUNCTION guard_timeline() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)
$$;

-- Who resumes all has looked: this copy is the one that counts from here on. Its marks go on above any that a daemon
-- elsewhere may have seen meanwhile.
CREATE FUNCTION guard_accept() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE guard
    SET mark = greatest(mark, seen_mark) + 1000,
        nonce = gen_random_uuid(),
        marked_at = now(),
        place = guard_place(),
        timeline = guard_timeline(),
        held_at = NULL,
        seen_mark = NULL
    WHERE held_at IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER guard_accept AFTER DELETE ON hold
FOR EACH ROW WHEN (OLD.scope = 'all') EXECUTE FUNCTION guard_accept();

-- What makes and drops months of the history owns them; the sender daemon has no such right but by these.
ALTER FUNCTION delivery_month_make(timestamptz) SECURITY DEFINER;
ALTER FUNCTION delivery_months_drop(timestamptz) SECURITY DEFINER;
REVOKE ALL ON FUNCTION delivery_month_make(timestamptz), delivery_months_drop(timestamptz) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION guard_accept() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION delivery_month_make(timestamptz) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION delivery_months_drop(timestamptz) SET search_path = %I, pg_temp', current_schema());
END
$$;
