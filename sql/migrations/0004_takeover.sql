-- Taking over from a running original: sbmctl import-django.

-- Which original this database is taken over from. No row: from none.
CREATE TABLE takeover (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- what tells the original from others, also when it is a copy or a replica: when its first migrations were applied
    original text NOT NULL,
    begun_at timestamptz NOT NULL,
    -- passes that ended, and the moment of the original's data that the last of them brought
    passes integer NOT NULL DEFAULT 0,
    data_of timestamptz
);

-- Rows of the original that have no place here, and rows that were here and that the original deleted since.
CREATE TABLE takeover_aside (
    -- the table here
    entity text NOT NULL,
    row_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('refused', 'deleted')),
    reason text NOT NULL,
    -- the row as it would be here
    content jsonb,
    -- its part in the checksum of the table
    checksum numeric NOT NULL,
    put_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (entity, row_id, kind)
);

-- The text of a row, whatever its columns, as a number; sums of these compare tables.
CREATE FUNCTION takeover_checksum(row_text text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || left(md5(row_text), 15))::bit(60)::bigint
$$;

-- A batch of each table on its way from the original; empty between two transactions. The columns are those that
-- are compared, in that order.
CREATE UNLOGGED TABLE takeover_user (
    id integer,
    username text,
    email text,
    password text,
    is_active boolean,
    is_staff boolean,
    permissions text[],
    created_at timestamptz
);
CREATE UNLOGGED TABLE takeover_schedule (
    id integer,
    minute text,
    hour text,
    day_of_week text,
    day_of_month text,
    month_of_year text,
    scheduler_schedule_id uuid
);
CREATE UNLOGGED TABLE takeover_messageset (
    id integer,
    short_name text,
    label text,
    notes text,
    next_set_id integer,
    default_schedule_id integer,
    content_type text,
    channel text,
    created_at timestamptz,
    updated_at timestamptz
);
CREATE UNLOGGED TABLE takeover_binarycontent (
    id integer,
    content text
);
CREATE UNLOGGED TABLE takeover_message (
    id integer,
    messageset_id integer,
    sequence_number integer,
    lang text,
    text_content text,
    binary_content_id integer,
    metadata jsonb,
    created_at timestamptz,
    updated_at timestamptz
);
-- digest is of what the original has as key; it is made on the way.
CREATE UNLOGGED TABLE takeover_token (
    digest bytea,
    user_id integer,
    created_at timestamptz
);
CREATE UNLOGGED TABLE takeover_subscription (
    id uuid,
    identity text,
    version integer,
    messageset_id integer,
    schedule_id integer,
    initial_sequence_number integer,
    next_sequence_number integer,
    lang text,
    active boolean,
    completed boolean,
    process_status integer,
    metadata jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    created_by_id integer,
    updated_by_id integer
);
CREATE UNLOGGED TABLE takeover_failed_task (
    id integer,
    subscription_id uuid,
    task_id uuid,
    initiated_at timestamptz,
    reason text
);
CREATE UNLOGGED TABLE takeover_resend_request (
    id integer,
    subscription_id uuid,
    received_at timestamptz,
    outbound text,
    message_id integer
);
CREATE UNLOGGED TABLE takeover_estimated_send (
    id integer,
    send_date date,
    message_set_id integer,
    estimate_subscriptions integer,
    estimate_identities integer
);

-- Indexes of subscription that wait to be made again: many rows come in faster without them.
CREATE TABLE takeover_index (
    definition text PRIMARY KEY
);

-- Drops the indexes that only make reading faster, while nothing is in the table. How many.
CREATE FUNCTION takeover_indexes_drop() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    i record;
    dropped integer := 0;
BEGIN
    FOR i IN
        SELECT c.oid::regclass AS name, pg_get_indexdef(c.oid) AS definition
        FROM pg_index x
        JOIN pg_class c ON c.oid = x.indexrelid
        WHERE x.indrelid = 'subscription'::regclass
            AND NOT x.indisunique
            AND pg_has_role(c.relowner, 'USAGE')
            AND NOT EXISTS (SELECT FROM subscription)
    LOOP
        INSERT INTO takeover_index (definition) VALUES (i.definition);
        EXECUTE format('DROP INDEX %s', i.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Makes them again. How many.
CREATE FUNCTION takeover_indexes_make() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    text_of text;
    made integer := 0;
BEGIN
    FOR text_of IN
        DELETE FROM takeover_index
        RETURNING definition
    LOOP
        EXECUTE text_of;
        made := made + 1;
    END LOOP;
    IF made > 0 THEN
        ANALYZE subscription;
    END IF;
    RETURN made;
END
$$;
