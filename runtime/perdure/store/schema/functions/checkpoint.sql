-- Granted to: pods
-- Store a step's outcome: a result, an error, or neither (cancelled). A step's own earlier write has its attempt and ordinal.
-- `kind_` is what the checkpoint is of, which means nothing to the store.
CREATE OR REPLACE FUNCTION perdure.checkpoint(
    run uuid, token_ uuid, key text, ordinal_ integer, name_ text, tries_ integer, clock_ bigint, micros bigint, result_ json, error_ json,
    fingerprint_ uuid DEFAULT NULL, kind_ "char" DEFAULT 's'
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attempt_ integer;
    timeline_ text;
BEGIN
    IF octet_length(result_::text) > perdure.max_outcome_bytes() OR octet_length(error_::text) > perdure.max_outcome_bytes() OR octet_length(key) + octet_length(name_) > 16384 THEN
        RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'a step''s outcome has at most 64 MiB, and its key and name 16 KiB';
    END IF;
    SELECT r.attempt, r.timeline INTO attempt_, timeline_ FROM perdure.runs r
    WHERE r.id = run AND r.token = token_ AND r.login = session_user::text FOR SHARE;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM perdure.runs r WHERE r.id = run) THEN 3 ELSE 4 END;
    ELSIF timeline_ <> perdure.timeline() THEN
        RETURN 5;
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO perdure.steps (run_id, step_key, kind, ordinal, name, attempt, tries, clock, result, error, started, finished, fingerprint)
    VALUES (run, key, kind_, ordinal_, name_, attempt_, tries_, clock_, result_, error_,
            clock_timestamp() - micros * interval '1 microsecond', clock_timestamp(), fingerprint_)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN 0;
    END IF;
    PERFORM FROM perdure.steps s WHERE s.run_id = run AND s.step_key = key AND s.attempt = attempt_ AND s.ordinal = ordinal_;
    RETURN CASE WHEN FOUND THEN 1 ELSE 2 END;
END
$$;
