-- Granted to: nobody
-- Whether a run is of a namespace whose runs the asking login may read. `session_user`: a function's owner is its `current_user`.
CREATE OR REPLACE FUNCTION perdure.is_own(owner_ text, namespace_ text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM perdure.logins l
        WHERE l.login = session_user::text AND l.owner = owner_ AND l.namespace = namespace_ AND l.purpose = 'reader'
    )
$$;
