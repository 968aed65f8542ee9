-- What the roles of roles.sql may do, where they are there. `sbmctl migrate` applies this each time, as the owner of
-- the tables, so that new tables are covered and this file may change.
--
-- A program may read and change every table but those that are named here; of these it has what is said.
-- PostgreSQL itself checks foreign keys and cascades as the owner, and partitions are reached through their table.
DO $$
DECLARE
    schema name := current_schema();
    program name;
    relation record;
    rights text;
    exceptions CONSTANT jsonb := '{
        "sbm_api": {
            "schema_migration": "SELECT",
            "api_user": "SELECT, INSERT, UPDATE (username)",
            "api_token": "SELECT, INSERT",
            "daemon": "SELECT",
            "daemon_total": "SELECT",
            "delivery": "SELECT, INSERT",
            "guard": "SELECT",
            "measurement": "SELECT",
            "measurement_turn": "",
            "run": "SELECT, INSERT, UPDATE",
            "sender_rate": "SELECT",
            "service": "SELECT"
        },
        "sbm_senderd": {
            "schema_migration": "SELECT",
            "api_user": "",
            "api_token": "",
            "idempotency": "SELECT, DELETE",
            "schedule": "SELECT, UPDATE (scheduler_schedule_id, scheduler_digest)",
            "messageset": "SELECT",
            "message": "SELECT",
            "hold": "SELECT, INSERT, UPDATE",
            "delivery": "SELECT, INSERT",
            "guard": "SELECT, UPDATE",
            "run": "SELECT, INSERT, UPDATE",
            "service": "SELECT, UPDATE"
        },
        "sbm_read": {
            "api_user": "SELECT (id, username, email, is_active, is_staff, permissions, created_at)",
            "api_token": "SELECT (id, user_id, created_at, revoked_at)",
            "idempotency": ""
        }
    }';
BEGIN
    FOR program IN
        SELECT rolname FROM pg_roles WHERE rolname IN ('sbm_api', 'sbm_senderd', 'sbm_read')
    LOOP
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', schema);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), program);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema, program);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', schema, program);
        FOR relation IN
            SELECT relname FROM pg_class
            WHERE relnamespace = schema::regnamespace
                AND relkind IN ('r', 'p', 'v')
                AND NOT relispartition
        LOOP
            -- What a take-over has on its way is the owner's alone: secrets, and statements that it will run.
            CONTINUE WHEN relation.relname LIKE 'takeover%';
            rights := coalesce(exceptions -> program ->> relation.relname,
                CASE program WHEN 'sbm_read' THEN 'SELECT' ELSE 'SELECT, INSERT, UPDATE, DELETE' END);
            IF rights <> '' THEN
                EXECUTE format('GRANT %s ON %I.%I TO %I', rights, schema, relation.relname, program);
            END IF;
        END LOOP;
        IF program <> 'sbm_read' THEN
            EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', schema, program);
        END IF;
        IF program = 'sbm_senderd' THEN
            GRANT EXECUTE ON FUNCTION delivery_month_make(timestamptz), delivery_months_drop(timestamptz) TO sbm_senderd;
        END IF;
    END LOOP;
END
$$;
