-- What /metrics tells of the sender daemons and of what is costly to count.

-- What the processes of each daemon have counted since it started, added up by it every few seconds. The row of the
-- nil UUID has the sums of those that are gone, so that the sum over all rows never goes back.
CREATE TABLE daemon_total (
    id uuid PRIMARY KEY,
    -- host name and process id
    daemon text NOT NULL,
    -- of the database's clock
    seen_at timestamptz NOT NULL,
    -- these two belong together
    names text[] NOT NULL,
    totals bigint[] NOT NULL
) WITH (fillfactor = 50);

-- Results of the last counts of the queue and checks of the invariants, made by one of the daemons.
CREATE TABLE measurement (
    name text NOT NULL,
    label text NOT NULL DEFAULT '',
    value double precision NOT NULL,
    -- of the database's clock
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (name, label)
) WITH (fillfactor = 50);

-- When the next of each kind is due: the daemon whose update finds the time past makes it.
CREATE TABLE measurement_turn (
    name text PRIMARY KEY,
    next_at timestamptz NOT NULL
) WITH (fillfactor = 50);
