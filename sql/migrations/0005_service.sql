-- When each of the services around last answered, as the sender processes of all daemons saw it: whether a delivery
-- failed by itself, or because its service is out, only shows in what became of others.
CREATE TABLE service (
    name text PRIMARY KEY,
    -- by the database's clock
    answered_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);
INSERT INTO service (name) VALUES ('identity store'), ('message sender');

-- When its last try that failed was written back (database clock); NULL: none yet.
ALTER TABLE delivery_queue ADD COLUMN tried_at timestamptz;
