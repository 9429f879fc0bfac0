"""Roles and databases whose commits are asynchronous by default: a checkpoint is on the disk all the same."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness.databases import Database
from tests.harness.postgres import Server

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]


def test_an_acknowledged_step_survives_a_server_that_loses_its_buffers(
    own_server: Server, own_database: Database, fleet: MakeFleet
) -> None:
    # Whatever is not flushed at commit stays in memory for ten seconds, and goes with the server.
    own_server.set(wal_writer_delay="10s")
    own_database.query(f"ALTER DATABASE {own_database.name} SET synchronous_commit = off")
    own_database.query("ALTER ROLE postgres SET synchronous_commit = off")
    own_database.query("CREATE TABLE unflushed (n int)")
    own_server.query("CHECKPOINT")

    made = fleet(own_database, alone=1, threads=2, loop=4).start()
    for share in (0.2, 0.6):
        made.reach(share)
        own_server.kill()
        own_server.start()
    made.wait()
    made.check()

    # That the default would have lost them: nothing that commits after this flushes the log.
    own_database.query("INSERT INTO unflushed VALUES (1)")
    own_server.kill()
    own_server.start()
    assert own_database.query("SELECT n FROM unflushed") == []
