-- Granted to: pods
-- Raise the counter of a process that runs one attempt, and learn what is asked of the run; `at_once`: it is cancelled, without time to clean up.
CREATE OR REPLACE FUNCTION perdure.heartbeat(run uuid, token_ uuid, steps_done_ bigint, current_step_ text)
RETURNS TABLE (answer integer, cancel boolean, suspend boolean, at_once boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r record;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT process, claim, cancel, suspend, cancel AND cleanup_seconds IS NULL AS at_once INTO r FROM perdure.runs
    WHERE id = run AND token = token_ AND login = session_user::text;
    IF NOT FOUND THEN
        RETURN QUERY SELECT CASE WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END, false, false, false;
    ELSE
        UPDATE perdure.processes SET counter = counter + 1, steps_done = steps_done_, current_step = left(current_step_, 512)
        WHERE id = r.process AND claim = r.claim;
        RETURN QUERY SELECT 0, r.cancel, r.suspend, r.at_once;
    END IF;
END
$$;
