-- Granted to: pods
-- All checkpoints of runs that these tokens own, in the order in which they were accepted, each with the run's clock when the attempt began
-- that stored it. A token that owns nothing is an error: no rows would tell a superseded attempt that nothing was done yet, and it would do
-- it all again.
CREATE OR REPLACE FUNCTION perdure.load(run_ids uuid[], tokens uuid[]) RETURNS TABLE (
    run_id uuid, step_key text, ordinal integer, attempt integer, tries integer, clock bigint, result json, error json, fingerprint uuid,
    kind "char", began bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    lost uuid[];
BEGIN
    SELECT array_agg(g.run_id) INTO lost FROM unnest(run_ids, tokens) AS g (run_id, token)
    WHERE NOT EXISTS (SELECT FROM perdure.runs r WHERE r.id = g.run_id AND r.token = g.token AND r.login = session_user::text);
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PD003', MESSAGE = 'superseded', DETAIL = array_to_string(lost, ' ');
    END IF;
    RETURN QUERY
    SELECT s.run_id, s.step_key, s.ordinal, s.attempt, s.tries, s.clock, s.result, s.error, s.fingerprint, s.kind, a.clock
    FROM unnest(run_ids, tokens) AS g (run_id, token)
    JOIN perdure.runs r ON r.id = g.run_id AND r.token = g.token AND r.login = session_user::text
    JOIN perdure.steps s ON s.run_id = r.id
    LEFT JOIN perdure.attempts a ON a.run_id = s.run_id AND a.attempt = s.attempt
    ORDER BY s.run_id, s.ordinal;
END
$$;
