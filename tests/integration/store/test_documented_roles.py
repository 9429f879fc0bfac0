"""The SQL of docs/production.md and docs/security.md, as an administrator executes it, and what it leads to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex

import psycopg
import pytest
from psycopg import errors

from perdure.cli.main import main
from perdure.store.schema.migrate import migrate
from tests.harness.postgres import Server

from .rows import Session

DOCS = Path(__file__).resolve().parents[3] / "docs"


def blocks(page: str) -> list[str]:
    return re.findall(r"(?ms)^```sql\n(.*?)^```$", (DOCS / page).read_text())


def execute(server: Server, text: str, database: str = "postgres") -> None:
    """Statement by statement, as psql does: some of them want no transaction."""
    with closing(server.connect(database)) as connection:
        for statement in re.sub(r"(?m)--.*$", "", text).split(";"):
            if statement.strip():
                connection.execute(statement)


@pytest.fixture(params=["postgres", "oldest_postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Server, dict[str, str]]]:
    """With roles and database as the documents make them, under names that are nobody else's; these names."""
    made: Server = request.getfixturevalue(request.param)
    mark = token_hex(3)
    names = {name: f"{name}_{mark}" for name in ("perdure_pods", "team_a", "perdure")}
    on_server, in_database = blocks("production.md")
    limits, _, _, _ = blocks("security.md")
    try:
        execute(made, renamed(on_server, names))
        execute(made, renamed(in_database, names), names["perdure"])
        execute(made, renamed(limits, names))
        yield made, names
    finally:
        made.query(f"DROP DATABASE IF EXISTS {names['perdure']} WITH (FORCE)")
        for role in ("team_a_reads", "team_b", *(names[name] for name in ("team_a", "perdure_pods", "perdure"))):
            made.query(f"DROP ROLE IF EXISTS {role}")


def renamed(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\b(perdure_pods|team_a|perdure)\b(?!\.logins)", lambda found: names[found[0]], text)


def test_a_login_is_bound_to_a_namespace_whose_runs_it_reads(server: tuple[Server, dict[str, str]]) -> None:
    made, names = server
    assert migrate(made.url(names["perdure"], names["perdure"]), pod_role=names["perdure_pods"]).changed
    *_, reading = blocks("security.md")
    execute(made, renamed(reading, names), names["perdure"])
    with closing(made.connect(names["perdure"], "team_a_reads")) as connection:
        own = "SELECT perdure.own_runs(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 10)"
        assert connection.execute(own).fetchall() == []


def test_a_login_is_bound_to_a_namespace_whose_runs_it_begins(server: tuple[Server, dict[str, str]]) -> None:
    made, names = server
    assert migrate(made.url(names["perdure"], names["perdure"]), pod_role=names["perdure_pods"]).changed
    _, _, binding, _ = blocks("security.md")
    cluster = "cluster:<UID of kube-system, or clusterId>"
    execute(made, renamed(binding, names), names["perdure"])
    with closing(made.connect(names["perdure"], names["perdure"])) as owners:
        owner = Session(owners)
        of_a, of_b = (owner.claim(owner.insert(owner=cluster, namespace=one)) for one in ("team-a", "team-b"))
        assert of_a is not None
        assert of_b is not None
        with (
            closing(made.connect(names["perdure"], names["team_a"])) as shared,
            closing(made.connect(names["perdure"], "team_b")) as bound,
        ):
            assert [Session(bound).begin(one)["answer"] for one in (of_a, of_b)] == [9, 0]
            assert [Session(shared).begin(one)["answer"] for one in (of_b, of_a)] == [9, 0]


def test_the_schemas_owner_binds_a_login_that_an_administrator_made(server: tuple[Server, dict[str, str]]) -> None:
    made, names = server
    url = made.url(names["perdure"], names["perdure"])
    assert migrate(url, pod_role=names["perdure_pods"]).changed
    asked = ("--existing", "--login", names["team_a"], "--namespace", "team-a", "--owner", "cluster:uid")
    role = ("--pod-role", names["perdure_pods"])
    assert main(["logins", "add", *asked, *role, "--database-url", url]) == 0
    with closing(made.connect(names["perdure"], names["perdure"])) as owners:
        bound = owners.execute("SELECT login, namespace, purpose FROM perdure.logins").fetchall()
        assert bound == [(names["team_a"], "team-a", "pods")]
    # To make one takes CREATEROLE, which that owner has not.
    without = ("--namespace", "team-b", "--owner", "cluster:uid")
    assert main(["logins", "add", *without, *role, "--database-url", url]) == 69


def test_the_operators_login_migrates_and_a_pods_login_works(server: tuple[Server, dict[str, str]]) -> None:
    made, names = server
    url = made.url(names["perdure"], names["perdure"])
    assert migrate(url, pod_role=names["perdure_pods"]).changed
    with closing(made.connect(names["perdure"], names["perdure"])) as owners:
        owner = Session(owners)
        attempt = owner.claim(owner.insert("documented"))
        assert attempt is not None
        with closing(made.connect(names["perdure"], names["team_a"])) as connection:
            pod = Session(connection)
            assert pod.begin(attempt)["answer"] == 0
            assert pod.checkpoint(attempt) == 0
            with pytest.raises(errors.InsufficientPrivilege):
                pod.execute("SELECT * FROM perdure.steps")
            connection.execute(f"CREATE TABLE {names['team_a']}.accounts (id int)")
            # Its session can be ended by the operator, and shows it what it does.
            pid = connection.info.backend_pid
            assert owner.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND query <> ''", pid) == [(1,)]
            assert owner.execute("SELECT pg_terminate_backend(%s)", pid) == [(True,)]


def test_locks_are_for_the_owner_alone(server: tuple[Server, dict[str, str]]) -> None:
    made, names = server
    _, locks, _, _ = blocks("security.md")
    made.query(renamed(locks, names), database=names["perdure"])
    assert migrate(made.url(names["perdure"], names["perdure"]), pod_role=names["perdure_pods"]).changed
    with closing(made.connect(names["perdure"], names["perdure"])) as owners:
        assert len(Session(owners).named("lock_manifest", owner="cluster:uid", namespace="", name="mine")) == 1
    with closing(made.connect(names["perdure"], names["team_a"])) as connection:
        for call in ("pg_advisory_lock(1)", "pg_try_advisory_xact_lock_shared(1)", "lo_create(1)", "lo_open(1, 1)"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"SELECT {call}")


def test_what_the_limits_stop(server: tuple[Server, dict[str, str]]) -> None:
    made, names = server
    with closing(made.connect(names["perdure"], names["team_a"])) as connection:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("CREATE TEMPORARY TABLE mine (x int)")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE public.mine (x int)")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SET temp_file_limit = -1")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(f"ALTER ROLE {names['team_a']} CONNECTION LIMIT -1")
        assert connection.execute("SHOW statement_timeout").fetchone() == ("1min",)
        # As the page says: a default, and no more.
        connection.execute("SET statement_timeout = 0")


def test_who_is_not_named_may_not_connect(server: tuple[Server, dict[str, str]]) -> None:
    made, names = server
    other = f"other_{token_hex(3)}"
    made.query(f"CREATE ROLE {other} LOGIN")
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            made.connect(names["perdure"], other)
    finally:
        made.query(f"DROP ROLE {other}")


def test_the_connection_limit_binds(server: tuple[Server, dict[str, str]]) -> None:
    made, names = server
    made.query(f"ALTER ROLE {names['team_a']} CONNECTION LIMIT 2")
    with (
        closing(made.connect(names["perdure"], names["team_a"])),
        closing(made.connect(names["perdure"], names["team_a"])),
        pytest.raises(psycopg.OperationalError, match="too many connections for role"),
    ):
        made.connect(names["perdure"], names["team_a"])
