-- The most that a row may hold, whoever writes it. Pods call the functions by SQL of their own if they like, and whatever one of them
-- has stored is read by others: by the operator, by who lists runs, by a dump. 64 MiB are far above what the library stores.
--
-- NOT VALID: what was stored before stays, and no table is read. A value that is not changed is not measured anew: its place in
-- the row is, which says how long it is where it lies.

ALTER TABLE perdure.runs ADD CONSTRAINT runs_sizes
    CHECK (pg_column_size(result) <= 67108864 AND pg_column_size(error) <= 67108864) NOT VALID;

ALTER TABLE perdure.steps ADD CONSTRAINT steps_sizes
    CHECK (length(name) <= 4096 AND pg_column_size(result) <= 67108864 AND pg_column_size(error) <= 67108864) NOT VALID;

ALTER TABLE perdure.attempts ADD CONSTRAINT attempts_sizes
    CHECK (length(process) <= 4096 AND length(node) <= 4096 AND length(image) <= 4096) NOT VALID;

ALTER TABLE perdure.processes ADD CONSTRAINT processes_sizes
    CHECK (length(host) <= 4096) NOT VALID;

UPDATE perdure.meta SET schema_version = 3;
