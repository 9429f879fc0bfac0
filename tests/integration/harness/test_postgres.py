"""Servers: that each fault reaches a client, and that it can be undone."""

from __future__ import annotations

import time

import psycopg
import pytest
from psycopg import errors

from tests.harness.databases import Databases
from tests.harness.eventually import eventually
from tests.harness.postgres import Server


def works(server: Server) -> bool:
    return server.query("SELECT 1") == [(1,)]


@pytest.fixture(params=["embedded", "oldest"])
def each_server(request, servers) -> Server:
    """One server of each version at hand."""
    return getattr(servers, request.param)()


def test_each_version_starts_and_is_durable(each_server):
    assert works(each_server)
    assert each_server.query("SHOW fsync") == [("on",)]
    major = each_server.installation.major
    assert each_server.query("SELECT current_setting('server_version_num')::int / 10000") == [(major,)]


def test_the_embedded_one_is_newer_than_the_oldest(postgres, oldest_postgres):
    assert oldest_postgres.installation.major < postgres.installation.major


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_stopping_ends_connections_and_keeps_what_was_committed(own_server, mode):
    own_server.query("CREATE TABLE kept AS SELECT 1 AS n")
    with own_server.connect() as connection:
        own_server.stop(mode)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        own_server.connect()
    own_server.start()
    assert own_server.query("SELECT n FROM kept") == [(1,)]


def test_killing_ends_connections_and_keeps_what_was_committed(each_server):
    each_server.query("CREATE TABLE kept AS SELECT 1 AS n")
    with each_server.connect() as connection:
        each_server.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    each_server.start()
    assert each_server.query("SELECT n FROM kept") == [(1,)]


def test_a_paused_server_answers_nobody_until_it_is_resumed(own_server, children):
    asking = "import psycopg, sys; c = psycopg.connect(sys.argv[1]); print('in'); c.close()"
    with own_server.connect() as connection:
        own_server.pause()
        connection.pgconn.send_query(b"SELECT 1")
        connection.pgconn.flush()
        newcomer = children.code(asking, own_server.url())
        with pytest.raises(AssertionError):
            newcomer.wait(deadline=0.5)
        connection.pgconn.consume_input()
        assert connection.pgconn.is_busy()
        own_server.resume()
        newcomer.wait_for_output("in")
        result = connection.pgconn.get_result()
        assert result is not None
        assert result.get_value(0, 0) == b"1"
        assert connection.pgconn.get_result() is None


def test_a_paused_server_can_be_stopped_and_killed(own_server):
    own_server.pause()
    own_server.stop()
    own_server.start()
    own_server.pause()
    own_server.kill()
    own_server.start()
    assert works(own_server)


def test_parameters_take_effect_by_reload_or_by_restart(own_server):
    pid = own_server.pid
    own_server.set(work_mem="5MB")
    assert own_server.query("SHOW work_mem") == [("5MB",)]
    assert own_server.pid == pid
    own_server.set(max_connections=37)
    assert own_server.query("SHOW max_connections") == [("37",)]
    assert own_server.pid != pid
    own_server.reset()
    assert own_server.query("SHOW max_connections") == [("100",)]


def test_read_only_reaches_connections_that_are_open(own_server):
    with own_server.connect() as connection:
        connection.execute("CREATE TABLE t (n int)")
        own_server.read_only(True)

        def refused():
            try:
                connection.execute("INSERT INTO t VALUES (1)")
            except errors.ReadOnlySqlTransaction:
                return True
            return False

        eventually(refused)
        own_server.read_only(False)
        eventually(lambda: not refused())


def test_a_crowded_server_takes_no_client_and_loses_those_it_had(servers):
    server = servers.embedded(parameters={"max_connections": 12})
    server.create_role("somebody")
    with server.connect(role="somebody") as connection, server.crowded():
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match=r"remaining connection slots|too many clients") as refusal:
            server.connect(role="somebody")
        assert refusal.value.sqlstate in (None, "53300")
        assert works(server)
    eventually(lambda: server.query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'crowd'") == [(0,)])
    server.connect(role="somebody").close()


def test_its_clock_can_be_set_while_it_runs(servers):
    server = servers.embedded(clock=True)
    with server.connect() as connection:

        def ahead():
            row = connection.execute(
                "SELECT extract(epoch FROM clock_timestamp())::float8 - %s", [time.time()]
            ).fetchone()
            assert row is not None
            return row[0]

        assert abs(ahead()) < 60
        server.clock.set_offset(3600)
        assert abs(ahead() - 3600) < 60
        server.clock.set_offset(-3600)
        assert abs(ahead() + 3600) < 60


def test_a_full_disk_fails_writes_until_it_is_freed(servers):
    server = servers.embedded(disk_size=160 << 20)
    server.query("CREATE TABLE t (filling text)")
    server.disk.fill()

    def grow():
        server.query("INSERT INTO t SELECT repeat(md5(n::text), 20) FROM generate_series(1, 100000) AS n")

    with pytest.raises(
        psycopg.OperationalError, match=r"[Nn]o space left|terminat|server closed|recovery mode|refused"
    ):
        grow()
    server.disk.free()
    if not server.running():
        server.start()
    eventually(lambda: _accepts(server))
    server.query("INSERT INTO t VALUES ('small')")
    assert server.query("SELECT count(*) FROM t WHERE filling = 'small'") == [(1,)]


def _accepts(server: Server) -> bool:
    try:
        return works(server)
    except psycopg.OperationalError:
        return False


def test_statements_are_counted_for_one_database_as_clients_sent_them(postgres, databases):
    counted, other = databases.empty(), databases.empty()
    counted.query("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM 1; RETURN 2; END'")
    postgres.reset_statements()
    with counted.connect() as connection:
        for _ in range(3):
            connection.execute("SELECT f()")
    other.query("SELECT 1")
    assert postgres.statements(counted.name) == {"SELECT f()": 3}


def test_wal_bytes_grow_with_what_is_written(postgres, databases):
    database = databases.empty()
    database.query("CREATE TABLE t (filling text)")
    before = postgres.wal_bytes()
    database.query("INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 100)")
    assert 100_000 < postgres.wal_bytes() - before < 1_000_000


def test_databases_are_copies_of_one_migrated_template(postgres):
    urls = []

    def migrate(url: str) -> None:
        urls.append(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE migrated (n int)")

    databases = Databases(postgres, migrate, template="copied")
    first, second = databases.new(), databases.new()
    first.query("INSERT INTO migrated VALUES (1)")
    assert second.query("SELECT count(*) FROM migrated") == [(0,)]
    assert len(urls) == 1


def test_a_role_logs_in_as_itself(postgres, databases):
    postgres.create_role("pod-1")
    with databases.empty().connect("pod-1") as connection:
        assert connection.execute("SELECT current_user, current_setting('is_superuser')").fetchone() == ("pod-1", "off")
