-- Granted to: pods
-- End one's own attempt without ending its run: it crashed, or is to go on elsewhere. What these count as, `end_attempt` says.
CREATE OR REPLACE FUNCTION perdure.release_run(run uuid, token_ uuid, ending_ text, code_ integer, signal_ integer, detail_ text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    claim_ uuid;
BEGIN
    IF ending_ NOT IN ('crashed', 'released') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such ending of one''s own attempt: ' || ending_;
    END IF;
    SELECT claim INTO claim_ FROM perdure.runs WHERE id = run AND token = token_ AND login = session_user::text FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM FROM perdure.attempts a WHERE a.run_id = run AND a.token = token_ AND a.ending = ending_;
        RETURN CASE WHEN FOUND THEN 1 WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END;
    END IF;
    RETURN perdure.end_attempt(run, claim_, ending_, code_, signal_, detail_);
END
$$;
