-- Granted to: pods
-- The runs that the asking login may read, as the statement `list_runs` has them. No claim, no secret.
CREATE OR REPLACE FUNCTION perdure.own_runs(
    run uuid, name_ text, id_prefix_ text, states_ text[], entrypoint_ text, created_since_ timestamptz, created_before_ timestamptz,
    after_created_ timestamptz, after_run_ uuid, limit_ bigint
) RETURNS TABLE (
    run_id uuid, owner text, namespace text, id text, entrypoint text, state text, attempts integer, crashes integer, cancel boolean,
    suspend boolean, created timestamptz, started timestamptz, finished timestamptz, error_type text, error_message text, steps bigint
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.id, r.owner, r.namespace, r.name, r.entrypoint, r.state, r.attempt, r.crashes, r.cancel, r.suspend, r.created, r.started, r.finished,
           r.error ->> 'type', left(r.error ->> 'message', 1000), (SELECT count(*) FROM perdure.steps s WHERE s.run_id = r.id)
    FROM perdure.logins l JOIN perdure.runs r ON r.owner = l.owner AND r.namespace = l.namespace
    WHERE l.login = session_user::text AND l.purpose = 'reader'
      AND (run IS NULL OR r.id = run) AND (name_ IS NULL OR r.name = name_) AND (id_prefix_ IS NULL OR starts_with(r.name, id_prefix_))
      AND (states_ IS NULL OR r.state = ANY (states_)) AND (entrypoint_ IS NULL OR r.entrypoint = entrypoint_)
      AND (created_since_ IS NULL OR r.created >= created_since_) AND (created_before_ IS NULL OR r.created < created_before_)
      AND (after_created_ IS NULL OR (r.created, r.id) < (after_created_, after_run_))
    ORDER BY r.created DESC, r.id DESC LIMIT limit_
$$;
