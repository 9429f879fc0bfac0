-- The most that pods may hand to the functions. They call them by SQL of their own if they like, and what one of them has stored
-- is read by others: by the operator, by who lists runs, by a dump. It is far above what the library stores. Not as constraints of
-- the tables: Postgres reads the text of each anew for each statement, which is a third more for a checkpoint.
--
-- Nothing else is new in these functions.

CREATE OR REPLACE FUNCTION perdure.checkpoint(
    run uuid, token uuid, key text, ordinal_ integer, name_ text, tries_ integer, clock_ bigint, micros bigint, result_ json, error_ json
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attempt_ integer;
    timeline_ text;
BEGIN
    IF pg_column_size(result_) > 67108864 OR pg_column_size(error_) > 67108864 OR octet_length(key) + octet_length(name_) > 16384 THEN
        RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'a step''s outcome has at most 64 MiB, and its key and name 16 KiB';
    END IF;
    SELECT r.attempt, r.timeline INTO attempt_, timeline_ FROM perdure.runs r
    WHERE r.id = run AND r.claim = token AND r.begun FOR SHARE;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT FROM perdure.runs r WHERE r.id = run) THEN 3 ELSE 4 END;
    ELSIF timeline_ <> left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) THEN
        RETURN 5;
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    INSERT INTO perdure.steps (run_id, step_key, ordinal, name, attempt, tries, clock, result, error, started, finished)
    VALUES (run, key, ordinal_, name_, attempt_, tries_, clock_, result_, error_,
            clock_timestamp() - micros * interval '1 microsecond', clock_timestamp())
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN 0;
    END IF;
    PERFORM FROM perdure.steps s WHERE s.run_id = run AND s.step_key = key AND s.attempt = attempt_ AND s.ordinal = ordinal_;
    RETURN CASE WHEN FOUND THEN 1 ELSE 2 END;
END
$$;

CREATE OR REPLACE FUNCTION perdure.checkpoints(
    run_ids uuid[], tokens uuid[], keys text[], ordinals integer[], names text[], tries_ integer[], clocks bigint[], micros bigint[],
    results text[], errors text[]
) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here text := left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
    stamp timestamptz := clock_timestamp();
    answers integer[];
    stored integer;
BEGIN
    IF pg_column_size(results) > 67108864 OR pg_column_size(errors) > 67108864 OR pg_column_size(keys) > 1048576 OR pg_column_size(names) > 1048576 THEN
        RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'too much in one statement: ask for each outcome alone';
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    WITH locked AS MATERIALIZED (
        SELECT r.id, r.claim, r.attempt, r.timeline FROM perdure.runs r
        WHERE r.id = ANY (run_ids) AND r.claim = ANY (tokens) AND r.begun ORDER BY r.id FOR SHARE SKIP LOCKED
    ), given AS (
        SELECT * FROM unnest(run_ids, tokens, keys, ordinals, names, tries_, clocks, micros, results, errors) WITH ORDINALITY
            AS g (run_id, token, step_key, ordinal, name, tries, clock, micros, result, error, place)
    ), judged AS MATERIALIZED (
        SELECT g.*, l.attempt,
               CASE WHEN l.id IS NULL THEN 6 WHEN (l.claim = g.token) IS NOT TRUE THEN 3 WHEN l.timeline <> here THEN 5 ELSE 0 END AS answer
        FROM given g LEFT JOIN locked l ON l.id = g.run_id
    ), inserted AS (
        INSERT INTO perdure.steps (run_id, step_key, ordinal, name, attempt, tries, clock, result, error, started, finished)
        SELECT j.run_id, j.step_key, j.ordinal, j.name, j.attempt, j.tries, j.clock, j.result::json, j.error::json,
               stamp - j.micros * interval '1 microsecond', stamp
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

CREATE OR REPLACE FUNCTION perdure.begin(
    run uuid, token uuid, process_ uuid, client integer, host_ text, pid_ integer, pid_started_ bigint, node_ text, image_ text
) RETURNS TABLE (
    answer integer, schema_version integer, entrypoint text, input json, source json, name text, namespace text, owner text, attempt integer,
    cancel boolean, suspend boolean, deadline_in double precision, system_identifier text, timeline text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r perdure.runs%ROWTYPE;
    m perdure.meta%ROWTYPE;
    verdict integer := 0;
BEGIN
    SELECT * INTO m FROM perdure.meta;
    SELECT * INTO r FROM perdure.runs WHERE id = run AND claim = token FOR UPDATE;
    IF NOT FOUND THEN
        verdict := CASE WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END;
    ELSIF client < m.oldest_client THEN
        verdict := 8;
    ELSIF r.begun AND r.process IS DISTINCT FROM process_ THEN
        verdict := 7;
    ELSIF r.begun THEN
        verdict := 1;
    END IF;
    IF verdict = 0 THEN
        r.timeline := left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
        r.started := coalesce(r.started, clock_timestamp());
        UPDATE perdure.runs SET begun = true, state = 'running', process = process_, timeline = r.timeline, started = r.started WHERE id = run;
        UPDATE perdure.attempts SET begun = clock_timestamp(), process = left(host_, 1024) || ':' || pid_, node = left(node_, 1024), image = left(image_, 1024)
        WHERE run_id = run AND attempt = r.attempt;
        INSERT INTO perdure.processes (id, owner, claim, host, pid, pid_started)
        VALUES (process_, r.owner, token, left(host_, 1024), pid_, pid_started_)
        ON CONFLICT DO NOTHING;
    END IF;
    IF verdict > 1 THEN
        RETURN QUERY SELECT verdict, m.schema_version, NULL, NULL::json, NULL::json, NULL, NULL, NULL, NULL::integer,
                            NULL::boolean, NULL::boolean, NULL::double precision, NULL, NULL;
    ELSE
        RETURN QUERY SELECT verdict, m.schema_version, r.entrypoint, r.input, r.source, r.name, r.namespace, r.owner, r.attempt, r.cancel, r.suspend,
                            r.deadline_seconds - extract(epoch FROM clock_timestamp() - r.started)::double precision,
                            (SELECT c.system_identifier::text FROM pg_control_system() c), r.timeline;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION perdure.finish(run uuid, token uuid, state_ text, result_ json, error_ json) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r perdure.runs%ROWTYPE;
BEGIN
    IF state_ NOT IN ('succeeded', 'failed', 'cancelled') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'a run ends succeeded, failed or cancelled';
    END IF;
    IF pg_column_size(result_) > 67108864 OR pg_column_size(error_) > 67108864 THEN
        RAISE EXCEPTION USING ERRCODE = '54000', MESSAGE = 'a run''s outcome has at most 64 MiB';
    END IF;
    SELECT * INTO r FROM perdure.runs WHERE id = run AND claim = token FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM FROM perdure.attempts a WHERE a.run_id = run AND a.claim = token AND a.ending = 'completed';
        RETURN CASE WHEN FOUND THEN 1 WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END;
    ELSIF NOT r.begun THEN
        RETURN 3;
    ELSIF r.timeline <> left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) THEN
        RETURN 5;
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE perdure.runs SET state = state_, result = result_, error = error_, finished = clock_timestamp(), claim = NULL, process = NULL, begun = false
    WHERE id = run;
    UPDATE perdure.attempts SET ended = clock_timestamp(), ending = 'completed' WHERE run_id = run AND attempt = r.attempt;
    DELETE FROM perdure.processes WHERE id = r.process AND claim = token;
    PERFORM pg_notify(perdure.channel('done', r.owner), run::text);
    RETURN 0;
END
$$;

UPDATE perdure.meta SET schema_version = 3;
