-- Granted to: pods
-- The steps of a run of a namespace whose runs the asking login may read, with their values.
CREATE OR REPLACE FUNCTION perdure.own_steps(run uuid) RETURNS TABLE (
    key text, name text, ordinal integer, attempt integer, tries integer, started timestamptz, finished timestamptz, result text, error text
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.step_key, s.name, s.ordinal, s.attempt, s.tries, s.started, s.finished, s.result::text, s.error::text
    FROM perdure.runs r JOIN perdure.steps s ON s.run_id = r.id
    WHERE r.id = run AND perdure.is_own(r.owner, r.namespace) ORDER BY s.ordinal
$$;
