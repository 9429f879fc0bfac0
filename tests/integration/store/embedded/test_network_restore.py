"""`perdure postgres restore`: what tenants have put into a dump is run by nobody who has any rights."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from perdure.store.embedded.embedded import postgres_install
from perdure.store.schema.logins import Binding, Purpose, keep_login, lock_login
from perdure.store.schema.migrate import migrate

from ..rows import Session
from .conftest import Serve, until_up, url

ROLE, TEAM, OTHER, SHARED = "perdure_pods", "perdure_pods_team_a", "perdure_pods_team_b", "perdure_shared"
OWNER = "cluster:uid"
HOSTILE = f"""
CREATE TABLE ran (by text, admin text);
CREATE FUNCTION grab(text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    INSERT INTO {TEAM}.ran VALUES (session_user, current_setting('is_superuser'));
    FOREACH one IN ARRAY ARRAY[
        'RESET SESSION AUTHORIZATION', 'RESET ROLE', 'SET ROLE perdure', 'ALTER ROLE {TEAM} SUPERUSER',
        'CREATE ROLE grabbed SUPERUSER', 'GRANT perdure TO {TEAM}', 'CREATE SCHEMA squatted',
        'DELETE FROM perdure.logins', 'CREATE TABLE {OTHER}.mine (x int)', 'SELECT pg_advisory_lock(1)'
    ] LOOP
        BEGIN
            EXECUTE one;
            INSERT INTO {TEAM}.ran VALUES (one, 'done');
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
    RETURN true;
END
$$;
CREATE DOMAIN grabbing AS text CHECK ({TEAM}.grab(VALUE));
CREATE FUNCTION grow(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT {TEAM}.grab($1)::text';
CREATE TABLE accounts (
    name text CHECK ({TEAM}.grab(name)), again grabbing, grown text GENERATED ALWAYS AS ({TEAM}.grow(name)) STORED
);
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM {TEAM}.grab(''); RETURN NEW; END $$;
CREATE TRIGGER fires BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION fired();
CREATE INDEX ON accounts ({TEAM}.grow(name));
CREATE MATERIALIZED VIEW seen AS SELECT {TEAM}.grab(name) FROM accounts;
GRANT SELECT ON accounts TO {SHARED};
INSERT INTO accounts (name, again) VALUES ('alice', 'alice');
"""

Restore = Callable[[bytes], "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def owner(serve: Serve, port: int) -> str:
    """A server with logins for two namespaces and the shared one, which have tables; its owner's URL."""
    serve()
    until_up(port)
    made = url(port)
    migrate(made, pod_role=ROLE)
    for login, namespace in ((TEAM, "team-a"), (OTHER, "team-b")):
        keep_login(made, Binding(login, OWNER, namespace, Purpose.PODS), pod_role=ROLE, password="theirs")
    for login, password, told in (
        (TEAM, "theirs", HOSTILE),
        (OTHER, "theirs", "CREATE TABLE accounts AS SELECT 'bob' AS name"),
        (SHARED, "pods'", "CREATE TABLE accounts AS SELECT 'carol' AS name"),
    ):
        with psycopg.connect(url(port, login, password)) as connection:
            connection.execute(told)
    return made


@pytest.fixture
def restore(settings: dict[str, str]) -> Restore:
    def run(dump: bytes) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "perdure.cli", "postgres", "restore"]
        return subprocess.run(command, input=dump, env=settings, capture_output=True, check=False)

    return run


def program(name: str, *arguments: str, given: bytes = b"") -> bytes:
    command = [os.path.join(postgres_install(), "bin", name), *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def dumped(owner: str) -> bytes:
    return program("pg_dump", f"--dbname={owner}", "--format=custom")


def rows(where: str, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg.connect(where, autocommit=True)) as connection:
        return connection.execute(statement.encode()).fetchall()


GRABBED = f"SELECT rolname::text FROM pg_roles WHERE rolsuper AND rolname IN ('{TEAM}', 'grabbed')"


def test_a_tenants_code_gets_nothing_by_a_restore(owner: str, port: int, restore: Restore) -> None:
    with closing(psycopg.connect(owner, autocommit=True)) as connection:
        session = Session(connection)
        attempt = session.claim(session.insert("before", owner=OWNER, namespace="team-a"))
        assert attempt is not None
    dump = dumped(owner)
    mine = url(port, TEAM, "theirs")
    assert len(rows(mine, "SELECT FROM ran WHERE by = 'perdure_pods_team_a'")) > 3
    rows(owner, f"WITH gone AS (DELETE FROM {TEAM}.ran RETURNING 1) SELECT count(*) FROM gone")
    dump = dumped(owner)

    done = restore(dump)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"restored: perdure, {TEAM}, {OTHER}, {SHARED}\n"

    ran = rows(mine, "SELECT DISTINCT regexp_replace(by, '_[0-9a-f]*$', ''), admin FROM ran")
    back = {("RESET ROLE", "done"), ("RESET SESSION AUTHORIZATION", "done")}  # to what it was before
    assert set(ran) == {("perdure_restores", "off")} | back, "it ran, and as nobody"
    assert rows(owner, GRABBED) == []
    assert rows(owner, "SELECT FROM pg_namespace WHERE nspname = 'squatted'") == []
    assert rows(owner, "SELECT FROM pg_roles WHERE rolname LIKE 'perdure_restores%'") == []
    # All is there, and its login's.
    assert rows(mine, "SELECT name, again FROM accounts") == [("alice", "alice")]
    owners = f"SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = '{TEAM}'::regnamespace"
    assert rows(owner, owners) == [(TEAM,)]
    assert rows(url(port, SHARED, "pods'"), "SELECT name FROM accounts") == [("carol",)]
    assert rows(url(port, OTHER, "theirs"), "SELECT name FROM accounts") == [("bob",)]
    with closing(psycopg.connect(mine, autocommit=True)) as connection:
        connection.execute("INSERT INTO accounts (name) VALUES ('dora')")
        assert Session(connection).begin(attempt)["answer"] == 0
        for refused in ("CREATE SCHEMA mine", "CREATE TEMPORARY TABLE mine ()", "SELECT pg_advisory_lock(1)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)
    assert not migrate(owner, pod_role=ROLE).changed

    # The same dump by a superuser is another matter: what is above holds because of who restores.
    program("pg_restore", f"--dbname={owner}", "--clean", "--if-exists", "--exit-on-error", given=dump)
    assert rows(owner, GRABBED) == [("grabbed",), (TEAM,)] or rows(owner, GRABBED) == [(TEAM,), ("grabbed",)]


def test_logins_of_pods_are_kept_out_until_all_is_restored(owner: str, port: int, restore: Restore) -> None:
    dump = dumped(owner)
    over = threading.Event()

    def knock() -> list[str]:
        said = []
        while not over.is_set():
            try:
                with psycopg.connect(url(port, OTHER, "theirs")) as connection:
                    connection.execute("SELECT FROM accounts")
                said.append("let in")
            except psycopg.Error as refused:
                said.append(str(refused))
        return said

    with ThreadPoolExecutor(1) as pool:
        knocked = pool.submit(knock)
        try:
            assert restore(dump).returncode == 0
        finally:
            over.set()
        said = knocked.result()
    shut = [number for number, one in enumerate(said) if 'permission denied for database "perdure"' in one]
    assert shut
    assert "let in" not in said[shut[0] : shut[-1]]
    assert rows(url(port, OTHER, "theirs"), "SELECT name FROM accounts") == [("bob",)]


def test_one_tenants_broken_schema_is_told_and_leaves_the_others_whole(owner: str, port: int, restore: Restore) -> None:
    mine = url(port, TEAM, "theirs")
    with psycopg.connect(mine) as connection:
        connection.execute(
            f"CREATE OR REPLACE FUNCTION grab(text) RETURNS boolean LANGUAGE plpgsql"
            f" AS $$ BEGIN RETURN session_user = '{TEAM}'; END $$"
        )
    done = restore(dumped(owner))
    assert done.returncode == 69
    assert done.stdout.decode() == f"restored: perdure, {OTHER}, {SHARED}\n"
    assert f"the schema {TEAM} of the login of that name is empty: pg_restore: error: " in done.stderr.decode()
    assert rows(mine, "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace") == []
    assert rows(url(port, OTHER, "theirs"), "SELECT name FROM accounts") == [("bob",)]
    with psycopg.connect(mine) as connection:
        connection.execute("CREATE TABLE accounts ()")


def test_a_schema_without_a_login_is_left_out_and_told(owner: str, port: int, restore: Restore) -> None:
    """Whoever owns it: an owner's code would be run by an administrator."""
    with psycopg.connect(owner) as connection:
        connection.execute(f"CREATE SCHEMA bank AUTHORIZATION {TEAM}")
        connection.execute(f"CREATE TABLE bank.accounts (name text CHECK ({TEAM}.grab(name)))")
    lock_login(owner, OTHER)
    done = restore(dumped(owner))
    assert done.returncode == 69
    assert "no login of pods has the name of bank: " in done.stderr.decode()
    assert rows(owner, "SELECT FROM pg_namespace WHERE nspname = 'bank'") == []
    assert rows(owner, f"SELECT name FROM {OTHER}.accounts") == [("bob",)], "a locked login's is restored"


def test_what_is_no_dump_changes_nothing(owner: str, port: int, restore: Restore) -> None:
    done = restore(b"CREATE TABLE mine ();")
    assert done.returncode == 69
    assert done.stderr.decode().startswith("perdure postgres: pg_restore: error: ")
    assert rows(url(port, OTHER, "theirs"), "SELECT name FROM accounts") == [("bob",)]


def test_half_a_dump_changes_nothing(owner: str, port: int, restore: Restore) -> None:
    # As a file has it that was written piece by piece: the places of its data are unknown.
    whole = dumped(owner)
    for kept in (len(whole) // 2, len(whole) * 9 // 10, len(whole) - 1):
        done = restore(whole[:kept])
        assert done.returncode == 69, kept
        assert done.stderr.decode().startswith("perdure postgres: "), kept
        assert done.stdout == b"", kept
    assert rows(url(port, OTHER, "theirs"), "SELECT name FROM accounts") == [("bob",)]
    assert rows(owner, "SELECT count(*) FROM perdure.meta") == [(1,)]


def test_a_dump_of_no_store_changes_nothing(owner: str, port: int, restore: Restore) -> None:
    for dump in (
        program("pg_dump", f"--dbname={owner}", "--format=custom", f"--schema={OTHER}"),
        program("pg_dump", f"--dbname={owner}", "--format=custom", "--exclude-table=perdure.meta"),
    ):
        done = restore(dump)
        assert (done.returncode, done.stdout) == (69, b"")
        assert "this dump holds no store: nothing was changed" in done.stderr.decode()
    assert rows(url(port, OTHER, "theirs"), "SELECT name FROM accounts") == [("bob",)]
    assert rows(owner, "SELECT count(*) FROM perdure.meta") == [(1,)]


def test_no_login_keeps_anothers_schema_from_being_restored(owner: str, port: int, restore: Restore) -> None:
    """Default rights of a login may stand in any schema, and only itself or a superuser may set them."""
    with psycopg.connect(url(port, TEAM, "theirs")) as connection:
        for schema in (OTHER, SHARED, "perdure"):
            connection.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO PUBLIC")
    dump = dumped(owner)
    # On another server the login may be missing.
    rows(owner, f"WITH gone AS (DELETE FROM perdure.logins WHERE login = '{TEAM}' RETURNING 1) SELECT FROM gone")
    with psycopg.connect(owner) as connection:
        connection.execute(f"DROP OWNED BY {TEAM} CASCADE")
        connection.execute(f"DROP ROLE {TEAM}")
    done = restore(dump)
    assert done.stdout.decode() == f"restored: perdure, {OTHER}, {SHARED}\n", done.stderr.decode()
    assert rows(url(port, OTHER, "theirs"), "SELECT name FROM accounts") == [("bob",)]
