-- Granted to: pods
-- Say for how long the run's workflow may clean up once it is cancelled; NULL for not at all. Before its first step: whoever
-- cancels the run then knows it. Of a run that is cancelled it cannot be changed any more.
CREATE OR REPLACE FUNCTION perdure.declare_cleanup(run uuid, token_ uuid, seconds double precision) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF seconds <= 0 OR seconds > 86400 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'a cancelled run cleans up for more than 0 seconds, and for at most 86400';
    END IF;
    PERFORM FROM perdure.runs WHERE id = run AND token = token_ AND login = session_user::text FOR UPDATE;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END;
    END IF;
    UPDATE perdure.runs SET cleanup_seconds = seconds WHERE id = run AND NOT cancel;
    RETURN 0;
END
$$;
