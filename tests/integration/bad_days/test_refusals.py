"""A Postgres that is there and refuses: no connections to be had, no writes, no space."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from tests.harness.databases import Database, Databases
from tests.harness.eventually import eventually
from tests.harness.postgres import Server, Servers

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]


def test_out_of_connections(own_server: Server, own_database: Database, fleet: MakeFleet) -> None:
    own_server.create_role("worker", options="LOGIN IN ROLE pg_read_all_data")
    own_database.query("GRANT USAGE ON SCHEMA perdure TO worker")
    own_database.query("GRANT ALL ON ALL TABLES IN SCHEMA perdure TO worker")
    own_database.query("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA perdure TO worker")
    made = fleet(own_database, url=own_database.url_as("worker")).start()
    made.reach(0.3)
    with own_server.crowded():
        time.sleep(2)
        ran = len(made.ran())
        time.sleep(0.5)
        assert len(made.ran()) == ran, "nothing goes on without its outcome stored"
    made.wait()
    made.check()


def test_read_only(own_server: Server, own_database: Database, fleet: MakeFleet) -> None:
    made = fleet(own_database).start()
    made.reach(0.3)
    own_server.read_only(True)
    time.sleep(2)
    stored = len(made.stored())
    assert stored < made.steps * len(made.runs)
    time.sleep(0.3)
    assert len(made.stored()) == stored
    own_server.read_only(False)
    made.wait()
    made.check()


@pytest.mark.timeout(120)
def test_disk_full(servers: Servers, fleet: MakeFleet) -> None:
    server = servers.embedded(disk_size=200 << 20, parameters={"max_wal_size": "32MB", "wal_recycle": "off"})
    database = Databases(server, _migrate).new()
    made = fleet(database).start()
    made.reach(0.3)
    server.disk.fill()
    # Somebody's bulk load takes what is left of the log's segment.
    with pytest.raises(psycopg.Error), server.connect() as connection:
        connection.execute("CREATE TABLE bulk AS SELECT repeat(md5(n::text), 20) FROM generate_series(1, 100000) AS n")
    time.sleep(2)
    assert "No space left on device" in server.log
    server.disk.free()
    if not server.running():
        server.start()
    eventually(lambda: _answers(server), 30)
    made.wait(60)
    made.check()


def _answers(server: Server) -> bool:
    try:
        return server.query("SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False


def _migrate(url: str) -> None:
    from perdure.store.schema.migrate import migrate

    migrate(url)
