-- Granted to: nobody
-- The most that pods may hand to the functions as one outcome. Pods call these by SQL of their own if they like, and what one
-- of them has stored is read by others: by the operator, by who lists runs, by a dump. It is far above what the library stores.
-- What is counted is what a value is when it is read: one from a table of theirs comes compressed, which `pg_column_size` would tell.
-- Of an array, `||` makes such a value.
-- Not a constraint of the tables: Postgres reads the text of each constraint anew for each statement, which is a third more for a checkpoint.
CREATE OR REPLACE FUNCTION perdure.max_outcome_bytes() RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$ SELECT 67108864 $$;
