"""A login that is bound to a namespace reads its runs, whole, by `perdure list` and `perdure show`; and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from perdure.cli.main import main
from tests.harness.databases import Database

from .rows import Attempt, Session, with_pods_role

ROLE = "perdure_reading"
LOGIN = "perdure_team_a"
CLUSTER, OTHER = "cluster:one", "cluster:two"
LONG = "x" * 10_000


@pytest.fixture
def admin(database: Database) -> Iterator[Session]:
    with with_pods_role(database, ROLE, LOGIN) as session:
        yield session


def finished(admin: Session, name: str, namespace: str, owner: str = CLUSTER) -> Attempt:
    run = admin.insert(name)
    admin.execute("UPDATE perdure.runs SET owner = %s, namespace = %s WHERE id = %s", owner, namespace, run)
    attempt = admin.begun(run)
    admin.checkpoint(attempt, "charge", 1, f"step of {namespace}")
    admin.finish(attempt, result=f"{LONG} of {namespace} of {owner}")
    return attempt


@pytest.fixture
def perdure(database: Database, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The command with the login of the namespace; its exit code and what it prints."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--database-url", database.url_as(LOGIN)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_it_lists_and_shows_its_own_runs_and_no_others(admin: Session, database: Database, perdure: Any) -> None:
    mine, theirs = finished(admin, "one", "team-a"), finished(admin, "two", "team-b")
    elsewhere = finished(admin, "three", "team-a", OTHER)
    assert "no runs" in perdure("list")[1], "it is bound to nothing yet"
    admin.execute("INSERT INTO perdure.logins VALUES (%s, %s, 'team-a', 'reader')", LOGIN, CLUSTER)
    listed = perdure("list")[1]
    assert "one" in listed
    assert "two" not in listed
    assert "three" not in listed
    for reference in (str(mine.run), "one", "team-a/one"):
        code, shown = perdure("show", reference, "-o", "json")
        assert code == 0
        assert LONG in shown
        assert "step of team-a" in shown
        assert str(mine.token) not in shown
    for reference in (str(theirs.run), str(elsewhere.run), "two", "team-b/one", "team-b/two"):
        code, shown = perdure("show", reference)
        assert code != 0
        assert "step of" not in shown


def test_what_it_calls_itself_tells_nothing_of_others(admin: Session, database: Database) -> None:
    theirs = finished(admin, "two", "team-b")
    admin.execute("INSERT INTO perdure.logins VALUES (%s, %s, 'team-a', 'reader')", LOGIN, CLUSTER)
    with closing(database.connect(role=LOGIN)) as connection:
        for function in ("own_values", "own_attempts", "own_steps"):
            assert connection.execute(f"SELECT * FROM perdure.{function}(%s)", [theirs.run]).fetchall() == []
        for refused in (
            "INSERT INTO perdure.logins VALUES (current_user, 'cluster:one', 'team-b', 'reader')",
            "SELECT * FROM perdure.logins",
            "SELECT perdure.is_own('cluster:one', 'team-b')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)
