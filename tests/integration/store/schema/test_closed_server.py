"""On a server that is ours alone no login of pods reaches another's sessions, or fills the table of locks.

Tried by real logins: two of namespaces, and the one that others share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import errors

from perdure.errors import StoreError
from perdure.store.schema.closed_server import close_server
from perdure.store.schema.logins import Binding, Purpose, keep_login
from perdure.store.schema.migrate import migrate
from tests.harness.databases import Database, Databases
from tests.harness.postgres import Server, Servers

from ..rows import Session

ROLE, SHARED, MINE, THEIRS = "perdure_pods", "perdure_shared", "perdure_pods_mine", "perdure_pods_theirs"
ALL = (SHARED, MINE, THEIRS)
OWNER = "cluster:uid"

TAKES_LOCKS = """
    SELECT proname, array(SELECT format_type(t, NULL) FROM unnest(proargtypes) t)
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
      AND (proname LIKE '%advisory%' AND proname NOT LIKE '%unlock%' OR proname ~ '^lo_|^loread|^lowrite')
"""
VALUES = {"bytea": "''", "text": "'/tmp/mine'"}


@pytest.fixture(scope="module")
def server(shared_servers: Servers) -> Server:
    return shared_servers.embedded(parameters={"fsync": "off"})


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    databases = Databases(server, lambda url: migrate(url, pod_role=ROLE))
    made = databases.new()
    made.query(f"CREATE ROLE {SHARED} LOGIN IN ROLE {ROLE}")
    # As it was once, and as it is in a database that was made anew.
    made.query(f"GRANT CREATE ON DATABASE {made.name} TO {ROLE}")
    for _ in range(2):
        close_server(made.url, pod_role=ROLE)
        for login, namespace in ((MINE, "mine"), (THEIRS, "theirs")):
            keep_login(made.url, Binding(login, OWNER, namespace, Purpose.PODS), pod_role=ROLE, password="secret")
    yield made
    databases.drop(made)


def refused(database: Database, login: str, *statements: str) -> dict[str, str | None]:
    """What was not refused of these, and what it came to."""
    told: dict[str, str | None] = {}
    for statement in statements:
        with closing(database.connect(login)) as connection:
            try:
                connection.execute(statement)
                told[statement] = "done"
            except psycopg.Error as error:
                if not isinstance(error, errors.InsufficientPrivilege):
                    told[statement] = f"{error.sqlstate}: {error}"
    return told


@pytest.mark.parametrize("login", ALL)
def test_nothing_is_made_where_another_login_would_find_it(database: Database, login: str) -> None:
    other = MINE if login != MINE else THEIRS
    tried = (
        "CREATE SCHEMA squatted",
        "CREATE SCHEMA squatted AUTHORIZATION CURRENT_USER",
        f"CREATE SCHEMA {other}_too",
        f"ALTER SCHEMA {login} RENAME TO squatted",
        f"ALTER SCHEMA {login} OWNER TO {ROLE}",
        f"DROP SCHEMA {other}",
        f"CREATE TABLE {other}.mine (x int)",
        f"CREATE FUNCTION {other}.now() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE public.mine (x int)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION perdure.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TEMPORARY TABLE runs (x int)",
        "CREATE TRIGGER mine AFTER INSERT ON perdure.steps EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE PUBLICATION mine",
        f"SET ROLE {ROLE}; CREATE SCHEMA squatted",
    )
    assert refused(database, login, *tried) == {}


def test_each_login_makes_tables_in_a_schema_of_its_own(database: Database) -> None:
    for login in ALL:
        with closing(database.connect(login)) as connection:
            connection.execute("CREATE TABLE accounts (name text CHECK (name <> ''))")
            connection.execute(f"CREATE TABLE of_{login} (x int)")
            # Whatever it grants, others have to name the schema to come there.
            connection.execute(f"GRANT ALL ON SCHEMA {login} TO PUBLIC")
    owned = "SELECT schemaname::text, tableowner::text FROM pg_tables WHERE tablename = 'accounts' ORDER BY 1"
    assert database.query(owned) == [(login, login) for login in sorted(ALL)]
    with closing(database.connect(THEIRS)) as connection:
        found = (
            "SELECT relnamespace::regnamespace::text, to_regclass(%s) FROM pg_class WHERE oid = 'accounts'::regclass"
        )
        assert connection.execute(found, [f"of_{MINE}"]).fetchone() == (THEIRS, None)


@pytest.mark.parametrize("login", ALL)
def test_no_lock_is_taken_but_those_of_tables(database: Database, login: str) -> None:
    functions = database.query(TAKES_LOCKS)
    names = {name for name, _ in functions}
    assert {"pg_advisory_lock", "pg_try_advisory_xact_lock_shared", "lo_create", "lo_creat", "lo_open"} <= names
    assert len(functions) >= 16 + 20
    given = ((name, ", ".join(f"{VALUES.get(kind, '1')}::{kind}" for kind in kinds)) for name, kinds in functions)
    assert refused(database, login, *(f"SELECT {name}({values})" for name, values in given)) == {}


def test_a_login_that_wants_all_locks_gets_none(database: Database) -> None:
    many = "SELECT count({}) FROM generate_series(1, 200000) AS g"
    with closing(database.connect(MINE)) as connection:
        connection.autocommit = False
        for call in ("pg_advisory_lock(g)", "pg_try_advisory_xact_lock(g)", "lo_create(g::oid)"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(many.format(call))
            connection.rollback()
        # Nor where these functions are as Postgres has them: the table of locks is the whole server's.
        for other in ("postgres", "template1"):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                database.server.connect(other, MINE)
        with closing(database.connect(THEIRS)) as other_login:
            other_login.execute("SELECT count(*) FROM pg_tables")


def test_the_product_does_all_it_does(database: Database) -> None:
    with closing(database.connect()) as administrators, closing(database.connect(MINE)) as pods:
        owner, pod = Session(administrators), Session(pods)
        attempt = owner.claim(owner.insert(owner=OWNER, namespace="mine"))
        assert attempt is not None
        assert pod.begin(attempt)["answer"] == 0
        assert pod.checkpoint(attempt) == 0
        assert pod.finish(attempt) == 0
    assert not migrate(database.url, pod_role=ROLE).changed


def test_a_schema_that_somebody_else_has_made_under_a_logins_name_is_told(database: Database) -> None:
    database.query(f"CREATE SCHEMA perdure_pods_late AUTHORIZATION {MINE}")
    binding = Binding("perdure_pods_late", OWNER, "late", Purpose.PODS)
    try:
        with pytest.raises(StoreError, match=f"the schema 'perdure_pods_late' belongs to '{MINE}'"):
            keep_login(database.url, binding, pod_role=ROLE, password="secret")
        assert database.query("SELECT FROM perdure.logins WHERE login = 'perdure_pods_late'") == []
    finally:
        database.query("DROP SCHEMA perdure_pods_late")
