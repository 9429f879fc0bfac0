-- Granted to: pods
-- As `checkpoint`, for many outcomes, of one run or of many, in one statement; an answer for each, in order. A run whose row is
-- locked is left out (6), so that it stalls nobody else.
CREATE OR REPLACE FUNCTION perdure.checkpoints(
    run_ids uuid[], tokens uuid[], keys text[], ordinals integer[], names text[], tries_ integer[], clocks bigint[], micros bigint[],
    results text[], errors text[], fingerprints uuid[] DEFAULT NULL,
    kinds "char"[] DEFAULT NULL
) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here text := perdure.timeline();
    stamp timestamptz := clock_timestamp();
    answers integer[];
    stored integer;
BEGIN
    IF pg_column_size(results || '{}'::text[]) > perdure.max_outcome_bytes() OR pg_column_size(errors || '{}'::text[]) > perdure.max_outcome_bytes() OR pg_column_size(keys || '{}'::text[]) > 1048576 OR pg_column_size(names || '{}'::text[]) > 1048576
       OR pg_column_size(fingerprints) > 1048576 OR pg_column_size(kinds) > 1048576 THEN
        RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'too much in one statement: ask for each outcome alone';
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    WITH locked AS MATERIALIZED (
        SELECT r.id, r.token, r.attempt, r.timeline FROM perdure.runs r
        WHERE r.id = ANY (run_ids) AND r.token = ANY (tokens) AND r.login = session_user::text ORDER BY r.id FOR SHARE SKIP LOCKED
    ), given AS (
        SELECT * FROM unnest(run_ids, tokens, keys, ordinals, names, tries_, clocks, micros, results, errors, fingerprints, kinds) WITH ORDINALITY
            AS g (run_id, token, step_key, ordinal, name, tries, clock, micros, result, error, fingerprint, kind, place)
    ), judged AS MATERIALIZED (
        SELECT g.*, l.attempt,
               CASE WHEN l.id IS NULL THEN (
                   -- Locked by somebody, or not ours any more: without a lock that is known, too.
                   SELECT CASE WHEN bool_or(r.token = g.token AND r.login = session_user::text) THEN 6 WHEN count(*) > 0 THEN 3 ELSE 4 END
                   FROM perdure.runs r WHERE r.id = g.run_id
               ) WHEN (l.token = g.token) IS NOT TRUE THEN 3 WHEN l.timeline <> here THEN 5 ELSE 0 END AS answer
        FROM given g LEFT JOIN locked l ON l.id = g.run_id
    ), inserted AS (
        INSERT INTO perdure.steps (run_id, step_key, kind, ordinal, name, attempt, tries, clock, result, error, started, finished, fingerprint)
        SELECT j.run_id, j.step_key, coalesce(j.kind, 's'), j.ordinal, j.name, j.attempt, j.tries, j.clock, j.result::json, j.error::json,
               stamp - j.micros * interval '1 microsecond', stamp, j.fingerprint
        FROM judged j WHERE j.answer = 0 ORDER BY j.run_id, j.step_key
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT array_agg(j.answer ORDER BY j.place) FROM judged j), (SELECT count(*) FROM inserted) INTO answers, stored;
    -- Everything that was allowed in went in: nothing to tell apart. Else each is asked for alone, which answers exactly.
    IF stored < (SELECT count(*) FROM unnest(answers) a WHERE a = 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'PD001', MESSAGE = 'some of these checkpoints exist';
    END IF;
    RETURN answers;
END
$$;
