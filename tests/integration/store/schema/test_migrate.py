"""Migrating: once, again, by several at once, beside running clients, and where it cannot work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from perdure.errors import SchemaMismatch, StoreError, StoreUnavailable, UsageError
from perdure.store.schema import migrate as module
from perdure.store.schema.checked_connection import schema_is_current
from perdure.store.schema.function_files import functions, granted_to
from perdure.store.schema.migrate import LOCK_KEY, MigrationReport, grants_sql, migrate, operator_grants_sql
from perdure.store.schema.versions import CLIENT_VERSION, SCHEMA_VERSION
from tests.harness.databases import Database, Databases

from ..rows import Session

_VERSIONS = "SELECT schema_version, oldest_client <= %s FROM perdure.meta"


@pytest.fixture
def empty(databases: Databases) -> Iterator[Database]:
    database = databases.empty()
    yield database
    databases.drop(database)


@pytest.fixture
def role(empty: Database) -> Iterator[str]:
    """The name of a role that belongs to nothing when the test is over."""
    name = 'pods "of" 100% of us'
    yield name
    quoted = '"' + name.replace('"', '""') + '"'
    if empty.query("SELECT 1 FROM pg_roles WHERE rolname = %s", name):
        empty.query(f"DROP OWNED BY {quoted}")
        empty.query(f"DROP ROLE {quoted}")


def test_an_empty_database_gets_this_releases_schema(empty: Database) -> None:
    report = migrate(empty.url)
    assert report == MigrationReport(0, SCHEMA_VERSION)
    assert report.changed
    assert empty.query(_VERSIONS, CLIENT_VERSION) == [(SCHEMA_VERSION, True)]
    with closing(empty.connect()) as connection:
        session = Session(connection)
        assert session.finish(session.begun(session.insert())) == 0


def test_migrating_again_changes_nothing(empty: Database) -> None:
    migrate(empty.url)
    before = empty.query("SELECT store_id FROM perdure.meta")
    report = migrate(empty.url)
    assert report == MigrationReport(SCHEMA_VERSION, SCHEMA_VERSION)
    assert not report.changed
    assert empty.query("SELECT store_id FROM perdure.meta") == before


def test_several_at_once_are_harmless(empty: Database, role: str) -> None:
    gate = threading.Barrier(4)

    def one(_: int) -> MigrationReport:
        gate.wait(10)
        return migrate(empty.url, pod_role=role)

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(one, range(4)))
    assert sorted(report.from_version for report in reports) == [0, *[SCHEMA_VERSION] * 3]
    assert empty.query("SELECT count(*) FROM perdure.meta") == [(1,)]


def test_two_databases_may_create_the_role_at_once(databases: Databases, role: str) -> None:
    pair = [databases.empty(), databases.empty()]
    gate = threading.Barrier(2)

    def one(database: Database) -> MigrationReport:
        gate.wait(10)
        return migrate(database.url, pod_role=role)

    with ThreadPoolExecutor(2) as pool:
        assert [report.to_version for report in pool.map(one, pair)] == [SCHEMA_VERSION] * 2
    for database in pair:
        databases.drop(database)


def test_the_pods_role_can_execute_its_functions_and_no_other(empty: Database, role: str) -> None:
    migrate(empty.url, pod_role=role)
    assert empty.query("SELECT rolcanlogin, rolinherit, rolsuper FROM pg_roles WHERE rolname = %s", role) == [
        (False, True, False)
    ]
    executable = empty.query(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'perdure'::regnamespace"
        " AND has_function_privilege(%s, oid, 'execute')",
        role,
    )
    assert sorted(name for (name,) in executable) == sorted(granted_to("pods"))


def test_rights_that_the_role_had_beyond_are_taken_from_it(empty: Database, role: str) -> None:
    migrate(empty.url, pod_role=role)
    quoted = '"' + role.replace('"', '""') + '"'
    empty.query(f"GRANT CREATE ON SCHEMA perdure TO {quoted}")
    empty.query(f"GRANT ALL ON ALL TABLES IN SCHEMA perdure TO {quoted}")
    empty.query(f"GRANT ALL ON ALL FUNCTIONS IN SCHEMA perdure TO {quoted}")
    migrate(empty.url, pod_role=role)
    tables = (
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'perdure'::regnamespace AND relkind = 'r'"
        " AND has_table_privilege(%s, oid, 'select')"
    )
    functions = (
        "SELECT has_function_privilege(%s, 'perdure.timeline()', 'execute'),"
        " has_schema_privilege(%s, 'perdure', 'create')"
    )
    assert empty.query(tables, role) == [(0,)]
    assert empty.query(functions, role, role) == [(False, False)]


def test_an_administrator_can_run_the_printed_grants_instead(empty: Database, role: str) -> None:
    migrate(empty.url)
    quoted = '"' + role.replace('"', '""') + '"'
    empty.query(f"CREATE ROLE {quoted} NOLOGIN")
    with closing(empty.connect()) as connection:
        connection.execute(grants_sql(role))
    assert empty.query(
        "SELECT has_function_privilege(%s, 'perdure.begin(uuid,uuid,uuid,int,text,int,bigint,text)', 'execute')",
        role,
    ) == [(True,)]


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64])
def test_a_name_that_no_role_can_have_is_refused(empty: Database, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a role"):
        migrate(empty.url, pod_role=name)
    assert empty.query("SELECT to_regnamespace('perdure')") == [(None,)]


def test_a_login_without_rights_is_told_so(empty: Database) -> None:
    empty.query("CREATE ROLE nobody_special LOGIN")
    try:
        with pytest.raises(StoreError, match=r"may not migrate.*permission denied"):
            migrate(empty.url_as("nobody_special"))
    finally:
        empty.query("DROP ROLE nobody_special")


def test_a_login_that_owns_its_database_is_enough_but_creates_no_roles(databases: Databases, role: str) -> None:
    database = databases.empty()
    database.query("CREATE ROLE plain_owner LOGIN")
    try:
        database.query(f"ALTER DATABASE {database.name} OWNER TO plain_owner")
        with pytest.raises(StoreError, match=r"may not create roles.*CREATE ROLE .* NOLOGIN"):
            migrate(database.url_as("plain_owner"), pod_role=role)
        assert database.query("SELECT to_regnamespace('perdure')") == [(None,)], "all or nothing"
        assert migrate(database.url_as("plain_owner")).to_version == SCHEMA_VERSION
    finally:
        databases.drop(database)
        databases.server.query("DROP ROLE plain_owner")


def test_a_schema_made_by_an_administrator_needs_no_right_on_the_database(databases: Databases) -> None:
    database = databases.empty()
    database.query("CREATE ROLE schema_owner LOGIN")
    try:
        database.query("CREATE SCHEMA perdure AUTHORIZATION schema_owner")
        assert migrate(database.url_as("schema_owner")).to_version == SCHEMA_VERSION
    finally:
        databases.drop(database)
        databases.server.query("DROP ROLE schema_owner")


@pytest.fixture
def newer(empty: Database, role: str) -> Database:
    """A database as a newer release has left it, with a function for pods that this one does not know."""
    migrate(empty.url, pod_role=role)
    quoted = '"' + role.replace('"', '""') + '"'
    empty.query("ALTER TABLE perdure.runs ADD later text")
    empty.query("CREATE FUNCTION perdure.later() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
    empty.query(f"GRANT EXECUTE ON FUNCTION perdure.later TO {quoted}")
    empty.query("UPDATE perdure.meta SET schema_version = %s", SCHEMA_VERSION + 1)
    empty.query("UPDATE perdure.alembic_version SET version_num = %s", f"{SCHEMA_VERSION + 1:04}")
    return empty


def test_a_newer_schema_that_serves_this_release_is_left_as_it_is(newer: Database, role: str) -> None:
    report = migrate(newer.url, pod_role=role)
    assert report == MigrationReport(SCHEMA_VERSION + 1, SCHEMA_VERSION + 1)
    assert report.newer
    assert schema_is_current(newer.url)
    may = "SELECT has_function_privilege(%s, oid, 'execute') FROM pg_proc WHERE proname IN ('later', 'finish')"
    assert newer.query(may, role) == [(True,), (True,)]
    with closing(newer.connect()) as connection:
        session = Session(connection)
        assert session.finish(session.begun(session.insert())) == 0


def test_a_newer_schema_that_does_not_serve_this_release_any_more_is_refused(newer: Database, role: str) -> None:
    newer.query("UPDATE perdure.meta SET oldest_client = %s", CLIENT_VERSION + 1)
    with pytest.raises(SchemaMismatch, match="this client is too old for the database"):
        migrate(newer.url, pod_role=role)
    assert not schema_is_current(newer.url)


def test_an_old_server_is_refused(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLDEST_POSTGRES", 99)
    with pytest.raises(StoreError, match=r"this server is Postgres \d+; Perdure needs 99 or newer"):
        migrate(empty.url)
    assert empty.query("SELECT to_regnamespace('perdure')") == [(None,)]


def test_a_held_lock_is_named_after_a_while(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT", 0.1)
    with closing(empty.connect()) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        with pytest.raises(StoreUnavailable, match=f"advisory lock {LOCK_KEY}"):
            migrate(empty.url)


def test_once_there_is_a_schema_its_lock_is_of_a_table_that_pods_cannot_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT", 0.1)
    with closing(database.connect()) as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        assert migrate(database.url) == MigrationReport(SCHEMA_VERSION, SCHEMA_VERSION)
        connection.execute("LOCK TABLE perdure.alembic_version IN SHARE ROW EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match=r"held the migration lock \(of perdure.alembic_version\) for 0.1 s"):
            migrate(database.url)


def test_pods_that_could_put_functions_in_the_owners_way_are_refused(empty: Database, role: str) -> None:
    empty.query("GRANT CREATE ON SCHEMA public TO PUBLIC")  # as up to Postgres 14
    assert migrate(empty.url).changed  # without pods there is nobody whom it matters to
    with pytest.raises(StoreError, match="pods may create in the schema") as refused:
        migrate(empty.url, pod_role=role)
    quoted = '"' + role.replace('"', '""') + '"'
    advised = f'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC, {quoted}'
    assert advised in str(refused.value)
    empty.query(f"CREATE ROLE {quoted} NOLOGIN")
    empty.query(advised)
    migrate(empty.url, pod_role=role)


def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="not available"):
        migrate("postgresql://postgres@/postgres?host=/nonexistent")


@pytest.fixture
def older(empty: Database) -> Database:
    """A database in which an older release has left another text of two functions, open to everybody."""
    migrate(empty.url)
    with closing(empty.connect()) as connection:
        for name in ("checkpoint", "finish"):
            connection.execute(_text(connection, name).replace("BEGIN", "BEGIN PERFORM 'older';", 1))
            connection.execute(f"GRANT EXECUTE ON FUNCTION perdure.{name} TO PUBLIC")
    return empty


def _text(connection: psycopg.Connection[Any], name: str) -> str:
    [(text,)] = connection.execute("SELECT pg_get_functiondef(%s::regproc)", [f"perdure.{name}"]).fetchall()
    return str(text)


def test_a_migration_applies_the_text_of_each_function_to_attempts_that_run(older: Database) -> None:
    with closing(older.connect(prepare_threshold=0)) as old, closing(older.connect()) as new:
        pod = Session(old)
        done = pod.begun(pod.insert("done"))
        assert pod.finish(done, result=1) == 0
        running = pod.begun(pod.insert("running"))
        assert pod.checkpoint(running) == 0
        before = {run: pod.run(run) for run in (done.run, running.run)}
        assert "older" in _text(new, "checkpoint")
        assert migrate(older.url) == MigrationReport(SCHEMA_VERSION, SCHEMA_VERSION)
        assert not any("older" in _text(new, function.name) for function in functions())
        assert {run: pod.run(run) for run in before} == before
        # The connection, its prepared statements and its claim are from before.
        assert pod.checkpoint(running, "next", 2) == 0
        assert pod.heartbeat(running) == (0, False, False)
        assert pod.release_run(running, "released") == 0
        assert pod.finish(pod.begun(running.run)) == 0


def test_a_migration_leaves_the_rights_of_roles_and_takes_those_of_everybody(older: Database, role: str) -> None:
    quoted = '"' + role.replace('"', '""') + '"'
    older.query(f"CREATE ROLE {quoted} NOLOGIN")
    with closing(older.connect()) as connection:
        connection.execute(grants_sql(role))
    migrate(older.url)
    executable = (
        "SELECT proname FROM pg_proc WHERE pronamespace = 'perdure'::regnamespace"
        " AND has_function_privilege(%s, oid, 'execute') ORDER BY 1"
    )
    assert older.query(executable, role) == [(name,) for name in sorted(granted_to("pods"))]
    everybody = (
        "SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) a"
        " WHERE pronamespace = 'perdure'::regnamespace AND a.grantee = 0"
    )
    assert older.query(everybody) == []


def test_the_operator_may_call_what_is_granted_to_it(empty: Database, role: str) -> None:
    migrate(empty.url)
    quoted = '"' + role.replace('"', '""') + '"'
    empty.query(f"CREATE ROLE {quoted} NOLOGIN")
    with closing(empty.connect()) as connection:
        connection.execute(operator_grants_sql(role))
    executable = (
        "SELECT proname FROM pg_proc WHERE pronamespace = 'perdure'::regnamespace"
        " AND has_function_privilege(%s, oid, 'execute') ORDER BY 1"
    )
    assert empty.query(executable, role) == [(name,) for name in sorted(granted_to("operator"))]


def test_every_function_of_the_schema_has_a_file(database: Database) -> None:
    made = database.query("SELECT proname FROM pg_proc WHERE pronamespace = 'perdure'::regnamespace ORDER BY 1")
    assert made == [(function.name,) for function in functions()]


def test_running_clients_notice_nothing(database: Database) -> None:
    stop = threading.Event()

    def work() -> int:
        with closing(database.connect(prepare_threshold=1)) as connection:
            session, rounds = Session(connection), 0
            while not stop.is_set():
                attempt = session.claim(session.insert(), observed=0)
                assert attempt is not None
                assert session.begin(attempt)["answer"] == 0
                assert [session.checkpoint(attempt, key, 1) for key in ("a", "b")] == [0, 0]
                assert len(session.load(attempt)) == 2
                assert session.heartbeat(attempt)[0] == 0
                assert session.finish(attempt) == 0
                rounds += 1
            return rounds

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(work) for _ in range(2)]
        try:
            for n in range(5):
                migrate(database.url)
                # As a migration that only adds, and replaces a function by one with the same answers.
                with closing(database.connect()) as connection, connection.transaction():
                    connection.execute(f"ALTER TABLE perdure.runs ADD later_{n} text")
                    connection.execute(f"ALTER TABLE perdure.steps ADD later_{n} text")
                    [(definition,)] = connection.execute(
                        "SELECT pg_get_functiondef('perdure.heartbeat'::regproc)"
                    ).fetchall()
                    connection.execute(definition)
                    connection.execute("UPDATE perdure.meta SET schema_version = schema_version")
        finally:
            stop.set()
        assert min(client.result(20) for client in clients) > 0
