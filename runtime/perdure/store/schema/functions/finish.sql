-- Granted to: pods
-- End a run: succeeded, failed or cancelled.
CREATE OR REPLACE FUNCTION perdure.finish(run uuid, token_ uuid, state_ text, result_ json, error_ json) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r perdure.runs%ROWTYPE;
BEGIN
    IF state_ NOT IN ('succeeded', 'failed', 'cancelled') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'a run ends succeeded, failed or cancelled';
    END IF;
    IF octet_length(result_::text) > perdure.max_outcome_bytes() OR octet_length(error_::text) > perdure.max_outcome_bytes() THEN
        RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'a run''s outcome has at most 64 MiB';
    END IF;
    -- They are shown in lists of runs, and json takes escapes (a NUL) that are no text of Postgres's: here they fail for this run alone.
    PERFORM error_->>'type', error_->>'message';
    SELECT * INTO r FROM perdure.runs WHERE id = run AND token = token_ AND login = session_user::text FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM FROM perdure.attempts a WHERE a.run_id = run AND a.token = token_ AND a.ending = 'completed';
        RETURN CASE WHEN FOUND THEN 1 WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END;
    ELSIF r.timeline <> perdure.timeline() THEN
        RETURN 5;
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE perdure.runs SET state = state_, result = result_, error = error_, finished = clock_timestamp(), claim = NULL, process = NULL, begun = false,
                            token = NULL, login = NULL
    WHERE id = run;
    UPDATE perdure.attempts SET ended = clock_timestamp(), ending = 'completed', token = token_ WHERE run_id = run AND attempt = r.attempt;
    DELETE FROM perdure.processes WHERE id = r.process AND claim = r.claim;
    PERFORM perdure.notify('done', r.owner, run);
    RETURN 0;
END
$$;
