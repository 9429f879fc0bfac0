-- Granted to: operator
-- End the attempt of a claim without ending its run. A crash is counted since the last new checkpoint: past the run's limit it
-- fails; up to there it waits. Disruptions of a cluster's runs wait as long, are counted by themselves, and have a limit
-- of their own; a queue's workers release when they are told to stop, which is neither. Nor is it a disruption that
-- an attempt releases because its run is suspended. An attempt whose process could not reach the store, or found another
-- one, says nothing about the workflow: it counts as neither, and the next one waits ever longer, up to a minute. Nor
-- does one that could not start (its image, its node) and gave its place to another run: the next one waits half a minute
-- and then ever longer, up to a quarter of an hour. A cancelled run goes on while it may clean up, and ends cancelled, whatever limit it meets.
-- `begun elsewhere`: somebody took the attempt's begin from its pod. He may have stored anything since, so it goes, and counts as nothing.
CREATE OR REPLACE FUNCTION perdure.end_attempt(run uuid, claim_ uuid, ending_ text, code_ integer, signal_ integer, detail_ text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    crash CONSTANT text[] := ARRAY['crashed', 'lost', 'never begun'];
    disruption CONSTANT text[] := ARRAY['released', 'evicted', 'node lost'];
    uncounted CONSTANT text[] := ARRAY['store unreachable', 'begun elsewhere'];
    hindered CONSTANT text := 'could not start';
    r perdure.runs%ROWTYPE;
    count_ integer := 0;
    progress boolean;
    state_ text := 'pending';
    type_ text;
    message_ text;
BEGIN
    IF ending_ <> ALL (crash || disruption || uncounted || ARRAY['superseded', hindered]) THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no such ending of an attempt: ' || ending_;
    END IF;
    SELECT * INTO r FROM perdure.runs WHERE id = run AND claim = claim_ FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM FROM perdure.attempts a WHERE a.run_id = run AND a.claim = claim_ AND a.ending = ending_;
        RETURN CASE WHEN FOUND THEN 1 WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END;
    END IF;
    IF ending_ = 'begun elsewhere' THEN
        DELETE FROM perdure.steps s WHERE s.run_id = run AND s.attempt = r.attempt;
    END IF;
    IF ending_ = ANY (crash) THEN
        PERFORM FROM perdure.steps s WHERE s.run_id = run AND s.attempt > coalesce(
            (SELECT max(a.attempt) FROM perdure.attempts a WHERE a.run_id = run AND a.ending = ANY (crash)), 0);
        r.crashes := CASE WHEN FOUND THEN 1 ELSE r.crashes + 1 END;
        count_ := r.crashes;
    ELSIF ending_ = ANY (disruption) AND r.owner NOT LIKE 'queue:%' THEN
        progress := EXISTS (SELECT FROM perdure.steps s WHERE s.run_id = run AND s.attempt > coalesce(
            (SELECT max(a.attempt) FROM perdure.attempts a WHERE a.run_id = run AND a.ending = ANY (disruption)), 0));
        IF progress THEN
            r.disruptions := 0;
        END IF;
        IF NOT (r.suspend AND ending_ = 'released') THEN
            r.disruptions := r.disruptions + 1;
            count_ := r.disruptions;
        END IF;
    END IF;
    r.delay := CASE WHEN ending_ = ANY (uncounted) THEN least(60, greatest(1, r.delay * 2))
                    WHEN ending_ = hindered THEN least(900, greatest(30, r.delay * 2))
                    ELSE perdure.backoff_seconds(count_) END;
    IF r.cancel AND coalesce(perdure.cleanup_left(r.id, r.started, r.cleanup_seconds), 0) <= 0 THEN
        state_ := 'cancelled';
    ELSIF ending_ = ANY (crash) AND r.crashes > r.backoff_limit THEN
        type_ := 'perdure.errors:BackoffLimitExceeded';
        message_ := format('%s attempts in a row ended in a crash without a new checkpoint (backoff limit %s); the last: %s',
                           r.crashes, r.backoff_limit, coalesce(left(detail_, 4096), ending_));
    ELSIF r.disruptions > r.disruption_limit THEN
        type_ := 'perdure.errors:DisruptionLimitExceeded';
        message_ := format('%s attempts in a row were disrupted before they had a new checkpoint (limit %s); the last: %s',
                           r.disruptions, r.disruption_limit, coalesce(left(detail_, 4096), ending_));
    END IF;
    IF type_ IS NOT NULL THEN
        state_ := CASE WHEN r.cancel THEN 'cancelled' ELSE 'failed' END;
    END IF;
    UPDATE perdure.runs
    SET state = state_, claim = NULL, process = NULL, begun = false, token = NULL, login = NULL, crashes = r.crashes, disruptions = r.disruptions, delay = r.delay,
        error = CASE WHEN type_ IS NOT NULL THEN json_build_object('type', type_, 'message', message_, 'args', json_build_array(message_)) END,
        available = clock_timestamp() + r.delay * interval '1 second',
        finished = CASE WHEN state_ <> 'pending' THEN clock_timestamp() END
    WHERE id = run;
    UPDATE perdure.attempts SET ended = clock_timestamp(), ending = ending_, code = code_, signal = signal_, detail = left(detail_, 4096), token = r.token
    WHERE run_id = run AND attempt = r.attempt;
    DELETE FROM perdure.processes WHERE id = r.process AND claim = claim_;
    PERFORM perdure.notify(CASE WHEN state_ = 'pending' THEN 'work' ELSE 'done' END, r.owner, run);
    RETURN 0;
END
$$;
