"""A standby: it follows, falls behind, and after promotion lacks what it had not received."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from tests.harness.eventually import eventually
from tests.harness.standby import Standby


@pytest.fixture(params=["embedded", "oldest"])
def primary(request, servers):
    server = getattr(servers, request.param)()
    server.query("CREATE TABLE t (n int)")
    return server


@pytest.fixture
def standby(primary, servers):
    return servers.add(Standby(primary))


def rows(server):
    return [n for (n,) in server.query("SELECT n FROM t ORDER BY n")]


def test_it_follows_and_takes_no_writes(primary, standby):
    primary.query("INSERT INTO t VALUES (1)")
    eventually(lambda: rows(standby) == [1])
    with pytest.raises(errors.ReadOnlySqlTransaction):
        standby.query("INSERT INTO t VALUES (2)")


def test_promoted_while_behind_it_has_lost_what_the_primary_acknowledged(primary, standby):
    primary.query("INSERT INTO t VALUES (1)")
    standby.catch_up()
    standby.fall_behind()
    primary.query("INSERT INTO t VALUES (2)")
    primary.kill()
    standby.promote()
    standby.query("INSERT INTO t VALUES (3)")
    assert rows(standby) == [1, 3]


def test_a_promotion_keeps_the_system_and_starts_a_timeline(primary, standby):
    identity = "SELECT system_identifier FROM pg_control_system()"
    timeline = "SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"
    standby.promote()
    assert standby.query(identity) == primary.query(identity)
    assert (primary.query(timeline), standby.query(timeline)) == ([("00000001",)], [("00000002",)])


def test_promoted_while_replay_is_paused_it_loses_nothing(primary, standby):
    standby.pause_replay()
    primary.query("INSERT INTO t VALUES (1)")
    [(position,)] = primary.query("SELECT pg_current_wal_flush_lsn()")
    received = "SELECT pg_last_wal_receive_lsn() >= %s::pg_lsn"
    eventually(lambda: standby.query(received, position) == [(True,)])
    assert rows(standby) == []
    primary.kill()
    standby.promote()
    assert rows(standby) == [1]


def test_it_catches_up_after_falling_behind(primary, standby):
    standby.fall_behind()
    primary.query("INSERT INTO t VALUES (1)")
    assert rows(standby) == []
    standby.catch_up()
    assert rows(standby) == [1]


def test_it_can_be_killed_and_started_as_a_standby(primary, standby):
    standby.kill()
    with pytest.raises(psycopg.OperationalError):
        standby.connect()
    standby.start()
    assert standby.query("SELECT pg_is_in_recovery()") == [(True,)]
