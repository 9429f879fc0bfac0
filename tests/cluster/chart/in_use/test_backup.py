"""Backed up and restored as docs/backup.md says, nothing runs again by itself; what the page says to do next works."""

from __future__ import annotations

import time

import pytest

from perdure.store.schema.logins import login_name
from tests.cluster.api import Json
from tests.cluster.cluster import Capability
from tests.cluster.product import workflows
from tests.harness.eventually import eventually

from .procedure import Procedure
from .used import Used

pytestmark = [pytest.mark.capability(Capability.NODE_COMMANDS), pytest.mark.timeout(300)]

_QUIET = 5.0  # seconds for which nothing has to begin

# Whoever inserts into the table runs its constraint, also in a restore.
_BOOKS = """
from perdure import step, step_context, workflow


@step(database=True)
def book() -> None:
    for statement in (
        "CREATE FUNCTION is_nobody() RETURNS boolean LANGUAGE sql AS 'SELECT NOT rolsuper FROM pg_catalog.pg_roles"
        " WHERE rolname = session_user'",
        "CREATE TABLE books (entry text CHECK (is_nobody()))",
        "INSERT INTO books VALUES ('mine')",
    ):
        step_context().connection.execute(statement)


@step(database=True)
def book_again() -> list[str]:
    connection = step_context().connection
    connection.execute("INSERT INTO books VALUES ('again')")
    return [entry for (entry,) in connection.execute("SELECT entry FROM books ORDER BY entry DESC")]


@workflow
def flow() -> None:
    book()


@workflow
def entries() -> list[str]:
    return book_again()
"""


@pytest.fixture(scope="module")
def page(used: Used, tmp_path_factory: pytest.TempPathFactory) -> Procedure:
    return Procedure("docs/backup.md", used.release, tmp_path_factory.mktemp("backup"))


def team_pods(used: Used) -> list[Json]:
    found: list[Json] = used.stage.cluster.api.get(f"/api/v1/namespaces/{used.stage.namespace}/pods")["items"]
    return found


def test_restored_nothing_runs_again_by_itself(used: Used, page: Procedure) -> None:
    stage = used.stage
    stage.start("finished")
    stage.start("books", _BOOKS)
    assert stage.until_finished("books")["phase"] == "Succeeded"
    uids = {name: used.start(name) for name in ("further", "untouched", "finishes", "deleted")}
    for uid in uids.values():
        used.until_steps(uid, 1)
    result = stage.until_finished("finished")["result"]
    page.follow("Back up the store")

    used.let("further", "go")
    used.until_steps(uids["further"], 3)
    used.let("finishes", "go", "on")
    assert stage.until_finished("finishes")["result"] == [1, 1, 1, 1]
    stage.delete("deleted")
    uids["later"] = used.start("later")
    used.until_steps(uids["later"], 1)

    page.follow("Restore the store")
    login = login_name(stage.namespace, "perdure_pods_{}")
    owned = "SELECT schemaname, tableowner FROM pg_tables WHERE tablename = 'books'"
    assert used.store.rows(owned) == [{"schemaname": login, "tableowner": login}]
    for name in ("further", "untouched", "later"):
        stage.until_reason(name, "CheckpointsMissing")
        stalled = workflows.condition(stage.get(name), "Stalled")
        assert stalled["status"] == "True"
        assert "perdure.io/restart" in stalled["message"]
    eventually(lambda: state(used, uids["deleted"]) == state(used, uids["finishes"]) == "cancelled", 30, every=0.3)
    ends = time.monotonic() + _QUIET
    while time.monotonic() < ends:
        assert team_pods(used) == []
        time.sleep(0.2)
    assert stage.get("finished")["status"]["result"] == result
    assert stage.get("finishes")["status"]["result"] == [1, 1, 1, 1]
    assert workflows.condition(stage.get("finishes"), "Succeeded")["status"] == "True"
    assert stage.keys(uids["further"]) == stage.keys(uids["untouched"]) == ["first"]

    # What a person does next.
    (annotate,) = (command for command in page.commands("Go on") if "annotate" in command)
    went = {"further": [1, 2, 2, 2], "untouched": [1, 2, 2, 2], "later": [1, 1, 1, 1]}
    for name in went:
        page.do(annotate.replace("transfer-17", name).replace("team-a", stage.namespace))
    for name, attempts in went.items():
        stage.until_pod(name, attempts[-1])
        used.let(name, "go", "on")
        assert stage.until_finished(name)["result"] == attempts


def test_a_run_that_starts_afterwards_needs_nobody(used: Used) -> None:
    used.stage.start("new")
    assert used.stage.until_finished("new")["result"] == "hello you"


def test_what_database_steps_wrote_is_there_and_their_logins(used: Used) -> None:
    used.stage.start("books-again", _BOOKS, entrypoint="flow:entries")
    assert used.stage.until_finished("books-again")["result"] == ["mine", "again"]


def state(used: Used, uid: str) -> str | None:
    row = used.store.run(uid)
    return None if row is None else str(row["state"])
