"""The proxy: where exactly it cuts, that clients notice, and that it heals."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import psycopg
import pytest

from tests.harness.eventually import eventually
from tests.harness.proxy import Moment, Proxy


@pytest.fixture
def table(databases):
    database = databases.empty()
    database.query("CREATE TABLE t (n int)")
    return database


@pytest.fixture
def connection(proxy, table):
    connection = psycopg.connect(proxy.url(table.name), autocommit=True)
    yield connection
    connection.close()


def rows(table) -> list[int]:
    return [n for (n,) in table.query("SELECT n FROM t ORDER BY n")]


def insert(connection, n=1):
    connection.execute("INSERT INTO t VALUES (%s)", [n], prepare=False)  # else the fifth is two requests


def test_it_passes_queries_of_every_kind(connection, table):
    insert(connection)
    with connection.cursor() as cursor:
        with cursor.copy("COPY t FROM STDIN") as copy:
            copy.write("2\n")
        assert cursor.execute("SELECT count(*) FROM t").fetchone() == (2,)
        with cursor.copy("COPY t TO STDOUT") as copy:
            assert len(list(copy)) == 2
    with connection.pipeline():
        for n in range(3, 6):
            insert(connection, n)
    big = "x" * 3_000_000
    assert connection.execute("SELECT %s", [big]).fetchone() == (big,)
    assert rows(table) == [1, 2, 3, 4, 5]


def test_it_counts_round_trips(proxy, connection):
    before = proxy.requests
    for _ in range(10):
        insert(connection)
    assert proxy.requests - before == 10
    with connection.pipeline():
        insert(connection)
        insert(connection)
    assert proxy.requests - before == 11
    with connection.transaction():
        insert(connection)
    assert proxy.requests - before == 14


def test_a_delay_is_added_to_each_round_trip_and_to_nothing_else(proxy, connection):
    proxy.delay(0.05)
    begun = time.monotonic()
    connection.execute("SELECT repeat('x', 1000000)")
    assert 0.05 <= time.monotonic() - begun < 0.5
    assert proxy.round_trip(5) >= 0.05
    proxy.delay(0)
    assert proxy.round_trip() < 0.05


def test_a_delay_can_be_chosen_for_what_a_query_takes(proxy):
    assert 0.001 < proxy.delay_to(0.005) < 0.02


@pytest.mark.parametrize(
    ("moment", "arrived"),
    [
        (Moment.BEFORE_REQUEST, False),
        (Moment.AFTER_REQUEST, True),
        (Moment.BEFORE_ANSWER, True),
        (Moment.WITHIN_ANSWER, True),
    ],
)
def test_a_cut_hits_the_named_request_at_the_named_moment(proxy, connection, table, moment, arrived):
    proxy.cut_at(moment, sql="INSERT", nth=2)
    insert(connection, 1)
    connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        insert(connection, 2)
    if arrived:
        eventually(lambda: rows(table) == [1, 2])
    assert rows(table) == ([1, 2] if arrived else [1])
    assert proxy.cuts == {moment: 1}
    assert "INSERT" in proxy.cut_statements[0]
    with psycopg.connect(proxy.url(table.name), autocommit=True) as again:
        insert(again, 3)
    assert 3 in rows(table)


def test_a_prepared_statement_is_known_by_its_sql(proxy, connection, table):
    for n in range(2):
        connection.execute("INSERT INTO t VALUES (%s)", [n], prepare=True)
    proxy.cut_at(Moment.BEFORE_ANSWER, sql="INSERT INTO t")
    with pytest.raises(psycopg.OperationalError):
        connection.execute("INSERT INTO t VALUES (%s)", [2], prepare=True)
    assert rows(table) == [0, 1, 2]


@pytest.mark.parametrize(("moment", "kept"), [(Moment.BEFORE_REQUEST, []), (Moment.BEFORE_ANSWER, [1])])
def test_a_commit_can_be_cut_before_and_after_it_happens(proxy, table, moment, kept):
    connection = psycopg.connect(proxy.url(table.name))
    insert(connection)
    proxy.cut_at(moment, sql="COMMIT")
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    connection.close()
    assert rows(table) == kept


def test_random_cuts_come_at_the_rate_and_moments_asked_for(proxy, table):
    proxy.cut_randomly(0.5, seed=7, sql="INSERT")
    for n in range(200):
        with suppress(psycopg.OperationalError), psycopg.connect(proxy.url(table.name), autocommit=True) as connection:
            insert(connection, n)
    cuts = proxy.cuts
    assert 60 < cuts.total() < 140
    assert set(cuts) == set(Moment)
    # Which requests are cut follows from the seed; those that were, and only before the request, are missing.
    eventually(lambda: 200 - len(rows(table)) == cuts[Moment.BEFORE_REQUEST])
    proxy.heal()
    with psycopg.connect(proxy.url(table.name), autocommit=True) as connection:
        for _ in range(20):
            insert(connection)


def test_a_client_sees_a_reset_and_not_an_orderly_end(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        eventually(lambda: proxy.connections == 1)
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)


@pytest.mark.parametrize(("direction", "kept"), [("to_server", []), ("to_client", [1])])
def test_a_cut_can_come_after_any_number_of_bytes(proxy, connection, table, direction, kept):
    proxy.cut_after_bytes(direction, 9)
    with pytest.raises(psycopg.OperationalError):
        insert(connection)
    assert rows(table) == kept
    assert proxy.cuts == {"bytes": 1}


def test_a_stall_holds_requests_until_it_heals(proxy, connection, table):
    proxy.stall()
    connection.pgconn.send_query(b"INSERT INTO t VALUES (1)")
    connection.pgconn.flush()
    with pytest.raises(AssertionError):
        eventually(lambda: rows(table) == [1], deadline=0.2)
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(proxy.url() + "&connect_timeout=2")
    proxy.heal()
    eventually(lambda: rows(table) == [1])


def test_a_pulled_cable_is_noticed_by_the_kernel_and_heals(proxy, table):
    url = proxy.url(table.name)
    patient = psycopg.connect(url, autocommit=True)
    hasty = psycopg.connect(url + "&tcp_user_timeout=500", autocommit=True)
    with patient:
        proxy.unplug()
        with pytest.raises(psycopg.OperationalError, match="timed out"):
            insert(hasty)
        hasty.close()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            psycopg.connect(url + "&connect_timeout=2")
        proxy.heal()
        insert(patient, 2)
    assert rows(table) == [2]


def test_refusing_leaves_open_connections_alone_and_heals_on_the_same_port(proxy, connection, table):
    proxy.refuse()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(proxy.url())
    insert(connection)
    proxy.heal()
    psycopg.connect(proxy.url()).close()
    assert rows(table) == [1]


def test_a_server_that_is_down_resets_its_clients(own_server):
    with Proxy(own_server) as proxy:
        own_server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxy.url())
        own_server.start()
        psycopg.connect(proxy.url()).close()


def test_it_stands_in_front_of_pgbouncer_too(postgres, pgbouncer):
    with Proxy(postgres, pgbouncer.socket) as proxy, psycopg.connect(proxy.url()) as connection:
        proxy.cut_at(Moment.BEFORE_ANSWER, sql="SELECT 5")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 5")
