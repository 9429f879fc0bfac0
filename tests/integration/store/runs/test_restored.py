"""A store that was restored from a backup is another one, and no attempt from before writes to it."""

from __future__ import annotations

from contextlib import closing

import pytest

from perdure.cli.main import main
from perdure.errors import SchemaMismatch
from perdure.store.runs.restored import mark_restored
from tests.harness.databases import Database, Databases

from ..rows import Session, with_pods_role

OWNER = "cluster:uid"


def test_it_has_another_id_each_time(database: Database) -> None:
    ids = {database.query("SELECT store_id FROM perdure.meta")[0][0]}
    for _ in range(2):
        report = mark_restored(database.url)
        assert database.query("SELECT store_id FROM perdure.meta") == [(report.store_id,)]
        ids.add(report.store_id)
    assert len(ids) == 3


def test_attempts_from_before_write_nothing_and_count_as_nothing(database: Database) -> None:
    with closing(database.connect()) as connection:
        session = Session(connection)
        begun = session.begun(session.insert("begun", owner=OWNER))
        assert session.checkpoint(begun) == 0
        claimed = session.claim(session.insert("claimed", owner=OWNER))
        assert claimed is not None
        pending = session.insert("pending", owner=OWNER)
        done = session.begun(session.insert("done", owner=OWNER))
        assert session.finish(done) == 0

        assert mark_restored(database.url).superseded == 2
        assert session.checkpoint(begun, "next", 2) == 3
        assert session.finish(begun) == 3
        assert session.begin(claimed)["answer"] == 3
        for run in (begun.run, claimed.run):
            row = session.run(run)
            assert (row["state"], row["claim"], row["attempt"]) == ("pending", None, 1)
            assert (row["crashes"], row["disruptions"], row["delay"]) == (0, 0, 0)
        assert session.run(pending)["attempt"] == 0
        assert session.run(done.run)["state"] == "succeeded"
        assert session.execute("SELECT ending, detail FROM perdure.attempts WHERE run_id = %s", begun.run) == [
            ("superseded", "the store was restored from a backup")
        ]
        assert session.execute("SELECT 1 FROM perdure.processes") == []
        assert session.finish(session.begun(begun.run)) == 0  # and it can go on


def test_logins_that_it_does_not_know_any_more_are_named(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """A login that was bound after the backup was taken would be taken for the one that all share."""
    role, logins = "perdure_restored", ("of_team_a", "of_team_b", "shared", "no_inherit", "barred", "nobody")
    with with_pods_role(database, role, "of_team_a") as admin:
        for login in logins[1:]:
            admin.execute(f"CREATE ROLE {login} {'NOLOGIN' if login == 'barred' else 'LOGIN'}")
        admin.execute("ALTER ROLE no_inherit NOINHERIT")
        admin.execute(f"GRANT {role} TO of_team_b, shared, no_inherit, barred")
        admin.execute("GRANT SELECT ON perdure.meta TO nobody")
        try:
            for purpose, login in (("pods", "of_team_a"), ("reader", "of_team_b")):
                admin.execute("INSERT INTO perdure.logins VALUES (%s, %s, 'team', %s)", login, OWNER, purpose)
            assert mark_restored(database.url).unbound == ("no_inherit", "shared")
            assert main(["restored", "--database-url", database.url]) == 0
            said = capsys.readouterr().out
            assert "bound to no namespace: no_inherit, shared; " in said
            assert "perdure logins add --existing --login LOGIN --namespace NAMESPACE --owner OWNER" in said
            admin.execute("DELETE FROM perdure.logins")  # as an older backup has it
            assert mark_restored(database.url).unbound == ("no_inherit", "of_team_a", "of_team_b", "shared")
            admin.execute(f"REVOKE {role} FROM of_team_a, of_team_b, shared, no_inherit")
            assert main(["restored", "--database-url", database.url]) == 0
            assert capsys.readouterr().out.count("\n") == 1
        finally:
            for login in logins[1:]:
                admin.execute(f"DROP OWNED BY {login}")
                admin.execute(f"DROP ROLE {login}")


def test_a_database_without_a_schema_is_named(databases: Databases) -> None:
    empty = databases.empty()
    with pytest.raises(SchemaMismatch, match="run 'perdure migrate'"):
        mark_restored(empty.url)
    databases.drop(empty)
