-- Granted to: pods
-- The attempts at a run of a namespace whose runs the asking login may read; without their claims.
CREATE OR REPLACE FUNCTION perdure.own_attempts(run uuid) RETURNS TABLE (
    attempt integer, process text, node text, image text, claimed timestamptz, begun timestamptz, ended timestamptz, ending text, code integer,
    signal integer, detail text
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attempt, a.process, a.node, a.image, a.claimed, a.begun, a.ended, a.ending, a.code, a.signal, a.detail
    FROM perdure.runs r JOIN perdure.attempts a ON a.run_id = r.id
    WHERE r.id = run AND perdure.is_own(r.owner, r.namespace) ORDER BY a.attempt
$$;
