-- Each claim of a job has a number, so that who lost its lease cannot write over who took it; and what a job came to
-- is kept with it.
ALTER TABLE job
    ADD COLUMN attempt integer NOT NULL DEFAULT 0,
    -- what was done, as people read it
    ADD COLUMN outcome text;
