-- Granted to: nobody
-- The timeline of this server. It changes with a fail-over. VOLATILE, as what it calls is: Postgres puts the body of such a
-- function in the place of its call, which a checkpoint pays nothing for, and that of a STABLE one not.
CREATE OR REPLACE FUNCTION perdure.timeline() RETURNS text
LANGUAGE sql VOLATILE
AS $$ SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) $$;
