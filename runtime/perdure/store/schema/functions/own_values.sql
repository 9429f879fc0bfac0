-- Granted to: pods
-- Input, result and error of a run of a namespace whose runs the asking login may read.
CREATE OR REPLACE FUNCTION perdure.own_values(run uuid) RETURNS TABLE (input text, result text, error text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.input::text, r.result::text, r.error::text FROM perdure.runs r WHERE r.id = run AND perdure.is_own(r.owner, r.namespace)
$$;
