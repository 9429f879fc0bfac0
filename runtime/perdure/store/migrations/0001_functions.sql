-- What a process that runs an attempt may ask of the store. Each function demands the run's id and its claim token, so a token is
-- a capability for one run that dies with its attempt. They are SECURITY DEFINER with a fixed search path, and the
-- contract that old processes keep across upgrades.
--
-- The token is compared before the row is locked, and with `=`: whoever knows another run's id can neither hold that run's
-- row in an open transaction, nor pass for its owner with a NULL while nobody has claimed it.
--
-- Answers: 0 done; 1 done by an earlier try whose answer was lost; 2 another call has this step key; 3 superseded; 4 the run is
-- gone; 5 the server has changed (another timeline); 6 the row is locked, ask for it alone; 7 the attempt has begun already, in
-- another process; 8 this client is too old for the schema.

CREATE FUNCTION perdure.timeline() RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) $$;

-- Anybody with a login may listen and notify on a channel whose name he knows, so names depend on what pods cannot read.
CREATE FUNCTION perdure.channel(kind text, owner text) RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT 'perdure_' || kind || '_' || left(md5(m.store_id::text || owner), 16) FROM perdure.meta m $$;

-- Store a step's outcome: a result, an error, or neither (cancelled). One step's own earlier write has its attempt and ordinal.
CREATE FUNCTION perdure.checkpoint(
    run uuid, token uuid, key text, ordinal_ integer, name_ text, tries_ integer, clock_ bigint, micros bigint, result_ json, error_ json
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attempt_ integer;
    timeline_ text;
BEGIN
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

-- The same for many outcomes, of one run or of many, in one statement; an answer for each, in order. A run whose row is
-- locked, or that is not ours any more, is left out (6), so that it stalls nobody else.
CREATE FUNCTION perdure.checkpoints(
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

-- The first thing that a claimed attempt's process does; once. The process id tells a second start from a lost answer.
CREATE FUNCTION perdure.begin(
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
        UPDATE perdure.attempts SET begun = clock_timestamp(), process = host_ || ':' || pid_, node = node_, image = image_
        WHERE run_id = run AND attempt = r.attempt;
        INSERT INTO perdure.processes (id, owner, claim, host, pid, pid_started)
        VALUES (process_, r.owner, token, host_, pid_, pid_started_)
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

-- All checkpoints of runs that these tokens own, in the order in which they were accepted. A token that owns nothing is an
-- error: no rows would tell a superseded attempt that nothing was done yet, and it would do it all again.
CREATE FUNCTION perdure.load(run_ids uuid[], tokens uuid[]) RETURNS TABLE (
    run_id uuid, step_key text, ordinal integer, attempt integer, tries integer, clock bigint, result json, error json
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    lost uuid[];
BEGIN
    SELECT array_agg(g.run_id) INTO lost FROM unnest(run_ids, tokens) AS g (run_id, token)
    WHERE NOT EXISTS (SELECT FROM perdure.runs r WHERE r.id = g.run_id AND r.claim = g.token);
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'PD003', MESSAGE = 'superseded', DETAIL = array_to_string(lost, ' ');
    END IF;
    RETURN QUERY
    SELECT s.run_id, s.step_key, s.ordinal, s.attempt, s.tries, s.clock, s.result, s.error
    FROM unnest(run_ids, tokens) AS g (run_id, token)
    JOIN perdure.runs r ON r.id = g.run_id AND r.claim = g.token
    JOIN perdure.steps s ON s.run_id = r.id
    ORDER BY s.run_id, s.ordinal;
END
$$;

-- Raise the counter of a process that runs one attempt, and learn what is asked of the run.
CREATE FUNCTION perdure.heartbeat(run uuid, token uuid, steps_done_ bigint, current_step_ text)
RETURNS TABLE (answer integer, cancel boolean, suspend boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r record;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT process, cancel, suspend INTO r FROM perdure.runs WHERE id = run AND claim = token;
    IF NOT FOUND THEN
        RETURN QUERY SELECT CASE WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END, false, false;
    ELSE
        UPDATE perdure.processes SET counter = counter + 1, steps_done = steps_done_, current_step = left(current_step_, 512)
        WHERE id = r.process AND claim = token;
        RETURN QUERY SELECT 0, r.cancel, r.suspend;
    END IF;
END
$$;

-- End a run: succeeded, failed or cancelled.
CREATE FUNCTION perdure.finish(run uuid, token uuid, state_ text, result_ json, error_ json) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r perdure.runs%ROWTYPE;
BEGIN
    IF state_ NOT IN ('succeeded', 'failed', 'cancelled') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'a run ends succeeded, failed or cancelled';
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

-- End an attempt without ending its run. A crash is counted since the last new checkpoint: past the run's limit it
-- fails; up to there it waits 0, 1, 2, 4 ... 300 s.
CREATE FUNCTION perdure.hand_back(run uuid, token uuid, ending_ text, code_ integer, signal_ integer, detail_ text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r perdure.runs%ROWTYPE;
    state_ text := 'pending';
    message_ text;
    error_ json;
BEGIN
    IF ending_ NOT IN ('handed back', 'crashed', 'evicted', 'node lost', 'lost', 'never begun', 'superseded') THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such ending of an attempt: ' || ending_;
    END IF;
    SELECT * INTO r FROM perdure.runs WHERE id = run AND claim = token FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM FROM perdure.attempts a WHERE a.run_id = run AND a.claim = token AND a.ending = ending_;
        RETURN CASE WHEN FOUND THEN 1 WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END;
    END IF;
    IF ending_ IN ('crashed', 'lost', 'never begun') THEN
        PERFORM FROM perdure.steps s WHERE s.run_id = run AND s.attempt > coalesce(
            (SELECT max(a.attempt) FROM perdure.attempts a WHERE a.run_id = run AND a.ending IN ('crashed', 'lost', 'never begun')), 0);
        r.crashes := CASE WHEN FOUND THEN 1 ELSE r.crashes + 1 END;
        r.delay := CASE WHEN r.crashes < 2 THEN 0 ELSE least(300, 2 ^ (least(r.crashes, 20) - 2)) END;
    ELSE
        r.delay := 0;
    END IF;
    IF r.cancel THEN
        state_ := 'cancelled';
    ELSIF r.crashes > r.backoff_limit THEN
        state_ := 'failed';
        message_ := format('%s attempts in a row ended in a crash without a new checkpoint (backoff limit %s); the last: %s',
                           r.crashes, r.backoff_limit, coalesce(left(detail_, 4096), ending_));
        error_ := json_build_object('type', 'perdure.errors:BackoffLimitExceeded', 'message', message_, 'args', json_build_array(message_));
    END IF;
    UPDATE perdure.runs
    SET state = state_, claim = NULL, process = NULL, begun = false, crashes = r.crashes, delay = r.delay, error = error_,
        available = clock_timestamp() + r.delay * interval '1 second',
        finished = CASE WHEN state_ <> 'pending' THEN clock_timestamp() END
    WHERE id = run;
    UPDATE perdure.attempts SET ended = clock_timestamp(), ending = ending_, code = code_, signal = signal_, detail = left(detail_, 4096)
    WHERE run_id = run AND attempt = r.attempt;
    DELETE FROM perdure.processes WHERE id = r.process AND claim = token;
    PERFORM pg_notify(perdure.channel(CASE WHEN state_ = 'pending' THEN 'work' ELSE 'done' END, r.owner), run::text);
    RETURN 0;
END
$$;

REVOKE ALL ON SCHEMA perdure FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA perdure FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA perdure FROM PUBLIC;
