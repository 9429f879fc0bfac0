"""`perdure cancel`, `delete`, `prune`, `migrate` and `restored`: what they do, and what they say of it."""

from __future__ import annotations

from perdure import Client
from tests.harness.databases import Databases
from tests.integration.cli.conftest import Cli


def test_deletes_and_prunes(cli: Cli) -> None:
    for name in ("a", "b", "c"):
        cli("run", "flows.py:counting", "--id", name, "--input", '{"n": 0}')

    cli("delete", "a")
    assert cli("prune", "--older-than", "1h").output == "0 runs deleted\n"
    assert cli("prune", "--older-than", "0s", "--state", "failed").output == "0 runs deleted\n"
    assert cli("prune", "--older-than", "0s").output == "2 runs deleted\n"
    assert cli("list").output == "no runs\n"


def test_migrates(cli: Cli, databases: Databases) -> None:
    url = databases.empty().url

    refused = cli("list", "--database-url", url, code=69)
    assert "run 'perdure migrate'" in refused.errors
    assert "migrated from version 0" in cli("migrate", "--database-url", url).output
    assert "already" in cli("migrate", "--database-url", url).output
    assert "GRANT EXECUTE" in cli("migrate", "--sql", "--pod-role", "pods").output


def test_a_restored_database_is_told_so(cli: Cli) -> None:
    cli("run", "flows.py:counting", "--id", "a", "--input", '{"n": 0}')
    [(before,)] = cli.query("SELECT store_id::text FROM perdure.meta")
    said = cli("restored").output
    [(after,)] = cli.query("SELECT store_id::text FROM perdure.meta")
    assert after != before
    assert f"this is the store {after} from now on" in said


def test_cancel_says_what_becomes_of_the_run(cli: Cli) -> None:
    cli("run", "flows.py:counting", "--id", "ended", "--input", '{"n": 0}')
    with Client(cli.environment["PERDURE_DATABASE_URL"]) as client:
        client.start("flows:counting", id="waits")

    assert cli("cancel", "ended").output == "ended has ended already: succeeded\n"
    assert cli("cancel", "waits").output == "waits is cancelled\n"
    assert cli.document("show", "waits")["state"] == "cancelled"


def test_what_cannot_be_done_is_told_and_does_nothing(cli: Cli) -> None:
    for words, said in (
        (["prune", "--older-than", "1h", "--state", "running"], "only runs that have ended can be pruned"),
        (["prune", "--older-than", "soon"], "--older-than"),
        (["migrate", "--sql"], "name it with --pod-role"),
    ):
        assert said in cli(*words, code=64).errors
    assert "nobody" in cli("delete", "nobody", code=1).errors
