-- Granted to: nobody
-- Whether the asking login may begin runs of a namespace. A login that is bound to some namespace begins runs of those alone to which it
-- is bound for pods; and a namespace to which logins are bound for pods has its runs begun by these alone. What is left is a login that
-- all namespaces without a login of their own share. A locked login keeps its namespace closed: to lock a login that was stolen must not
-- let the shared one in. `session_user`: a function's owner is its `current_user`.
CREATE OR REPLACE FUNCTION perdure.may_begin(owner_ text, namespace_ text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(bool_or(l.login = session_user::text AND l.owner = owner_ AND l.namespace = namespace_ AND l.purpose = 'pods'), true)
    FROM perdure.logins l
    WHERE l.login = session_user::text OR (l.owner = owner_ AND l.namespace = namespace_ AND l.purpose IN ('pods', 'locked'))
$$;
