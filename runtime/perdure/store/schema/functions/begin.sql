-- Granted to: pods
-- The first thing that a claimed attempt's process does; once: it trades the claim, which stands in its pod's spec for others to
-- read, for the attempt's token, with which all else is done, and by the same login alone. The process id, which the process drew
-- and tells nobody else, tells a second start from a lost answer. A login of another namespace is refused: it changes nothing, holds no lock
-- on the run, and the server's log names it.
CREATE OR REPLACE FUNCTION perdure.begin(
    run uuid, claim_ uuid, process_ uuid, client integer, host_ text, pid_ integer, pid_started_ bigint, node_ text
) RETURNS TABLE (
    answer integer, schema_version integer, entrypoint text, input json, source json, name text, namespace text, owner text, attempt integer,
    cancel boolean, suspend boolean, deadline_in double precision, system_identifier text, timeline text, seed uuid,
    cleanup_seconds double precision, cleanup_left double precision, token uuid, clock bigint, started bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r perdure.runs%ROWTYPE;
    m perdure.meta%ROWTYPE;
    verdict integer := 0;
    left_ double precision;
    namespace_ text;
BEGIN
    SELECT * INTO m FROM perdure.meta;
    SELECT * INTO r FROM perdure.runs WHERE id = run AND claim = claim_ AND perdure.may_begin(owner, namespace) FOR UPDATE;
    IF NOT FOUND THEN
        SELECT namespace INTO namespace_ FROM perdure.runs WHERE id = run AND claim = claim_ AND NOT perdure.may_begin(owner, namespace);
        IF FOUND THEN
            verdict := 9;
            RAISE LOG 'perdure: login "%" was refused the begin of run % of namespace "%", which is not its own', session_user, run, namespace_;
        ELSE
            verdict := CASE WHEN EXISTS (SELECT FROM perdure.runs WHERE id = run) THEN 3 ELSE 4 END;
        END IF;
    ELSIF client < m.oldest_client THEN
        verdict := 8;
    ELSIF r.begun AND (r.process, r.login) IS DISTINCT FROM (process_, session_user::text) THEN
        verdict := 7;
    ELSIF r.begun THEN
        verdict := 1;
    END IF;
    -- Of a run that has not begun yet there is nothing to clean up.
    left_ := perdure.cleanup_left(r.id, r.started, r.cleanup_seconds);
    r.clock := perdure.clock_reading(r.id, r.clock, r.clock_at);
    IF verdict = 0 THEN
        r.timeline := perdure.timeline();
        r.token := gen_random_uuid();
        r.started := coalesce(r.started, clock_timestamp());
        r.deadline_from := coalesce(r.deadline_from, r.started);
        UPDATE perdure.runs SET begun = true, state = 'running', process = process_, timeline = r.timeline, started = r.started,
                                deadline_from = r.deadline_from, token = r.token, login = session_user,
                                clock = r.clock, clock_at = clock_timestamp()
        WHERE id = run;
        UPDATE perdure.attempts SET begun = clock_timestamp(), clock = r.clock, process = left(host_, 1024) || ':' || pid_, node = left(node_, 1024)
        WHERE run_id = run AND attempt = r.attempt;
        INSERT INTO perdure.processes (id, owner, claim, host, pid, pid_started)
        VALUES (process_, r.owner, claim_, left(host_, 1024), pid_, pid_started_)
        ON CONFLICT DO NOTHING;
    END IF;
    IF verdict > 1 THEN
        RETURN QUERY SELECT verdict, m.schema_version, NULL, NULL::json, NULL::json, NULL, namespace_, NULL, NULL::integer,
                            NULL::boolean, NULL::boolean, NULL::double precision, NULL, NULL, NULL::uuid,
                            NULL::double precision, NULL::double precision, NULL::uuid, NULL::bigint, NULL::bigint;
    ELSE
        RETURN QUERY SELECT verdict, m.schema_version, r.entrypoint, r.input, r.source, r.name, r.namespace, r.owner, r.attempt, r.cancel, r.suspend,
                            r.deadline_seconds - extract(epoch FROM clock_timestamp() - r.deadline_from)::double precision,
                            (SELECT c.system_identifier::text FROM pg_control_system() c), r.timeline, r.seed,
                            r.cleanup_seconds, left_, r.token, r.clock, (extract(epoch FROM r.started) * 1000000)::bigint;
    END IF;
END
$$;
