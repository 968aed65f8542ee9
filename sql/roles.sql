-- The roles of PostgreSQL, once for each cluster, as a superuser: psql -f roles.sql. What each may do stands in
-- grants.sql, which sbmctl migrate applies. A role that is there already stays as it is.
--
--   sbm          owns the database; for sbmctl, which makes and changes the schema
--   sbm_api      sbm-api (setting database_api)
--   sbm_senderd  sbm-senderd (setting database_senderd)
--   sbm_read     for people who only look: GRANT sbm_read TO somebody
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        VALUES ('sbm', 'LOGIN'), ('sbm_api', 'LOGIN'), ('sbm_senderd', 'LOGIN'), ('sbm_read', 'NOLOGIN')
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.column1) THEN
            EXECUTE format('CREATE ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE', wanted.column1, wanted.column2);
        END IF;
    END LOOP;
END
$$;
