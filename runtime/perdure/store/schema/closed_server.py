"""What no login of pods may do on a server that is ours alone, and the schema that each has for its own tables.

Rights on a database and on Postgres's own functions are part of a database, and a restored one lacks them: so they are
taken when the server is made, and again at each start of an operator.
"""

from __future__ import annotations

from psycopg import sql

from ...errors import StoreError
from .role_changes import Connection, changing

__all__ = ["CLOSING", "close_server", "own_schema"]

_STATEMENT = """
DO $$
DECLARE
    change text;
BEGIN
    FOR change IN
        SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname)
        FROM pg_database WHERE datname <> current_database() AND datallowconn
        UNION ALL
        SELECT format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database())
        UNION ALL
        SELECT format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM %I', d.datname, r.rolname)
        FROM pg_database d CROSS JOIN aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee
        WHERE d.datname = current_database() AND a.grantee <> d.datdba
          AND a.privilege_type IN ('CREATE', 'TEMPORARY')
        UNION ALL
        SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure)
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND (
            proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$' OR proname ~ '^lo(_.*|read|write)$'
        )
    LOOP
        EXECUTE change;
    END LOOP;
END
$$
"""

CLOSING = " ".join(_STATEMENT.split())
"""One statement on one line, for an administrator; what is closed already stays closed.

- No other database: locks are the whole server's, and each database has functions of its own that take them.
- Nobody but the database's owner makes schemas: other logins' sessions would run what stands where they look. Nor
  temporary tables, which count for nobody's limit.
- No advisory locks and no large objects, of which one session takes as many as the server has room for, and no other
  session can lock anything, or begin, until it ends. Only the owner of our schema uses them.
"""


def close_server(url: str, *, pod_role: str) -> None:
    """Take these rights from all logins, and see that each login of pods has its schema.

    Raises:
        StoreUnavailable, SchemaMismatch
        StoreError: the login of `url` is no administrator, or a schema is somebody else's.
    """
    members = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND pg_has_role(oid, %s, 'MEMBER')"
    with changing(url, "close the server to logins of pods") as connection:
        connection.execute(CLOSING)
        for (login,) in connection.execute(members, [pod_role]).fetchall():
            own_schema(connection, str(login))


def own_schema(connection: Connection, login: str) -> None:
    """Make the schema with a login's name, where its sessions look names up first, unless it has that already.

    Raises:
        StoreError: it is somebody else's, whose functions the login would run.
    """
    owner = "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = %s"
    found = connection.execute(owner, [login]).fetchone()
    if found is None:
        make = sql.SQL("CREATE SCHEMA {0} AUTHORIZATION {0}")
        connection.execute(make.format(sql.Identifier(login)))
    elif found[0] != login:
        raise StoreError(
            f"the schema {login!r} belongs to {found[0]!r}, and the login of that name would run what is in it: have an"
            " administrator rename it (ALTER SCHEMA ... RENAME TO), or drop it"
        )
