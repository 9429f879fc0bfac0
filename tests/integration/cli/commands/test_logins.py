"""`perdure logins`: a login for a namespace, from the command to a pod's begin; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from perdure.cli.main import main
from perdure.store.schema.logins import login_name
from tests.harness.databases import Database
from tests.harness.postgres import Server
from tests.integration.store.rows import Session, with_pods_role

ROLE, SHARED = "perdure_pods_cli", "perdure_shared_cli"
CLUSTER = "cluster:one"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def admin(database: Database) -> Iterator[Session]:
    with with_pods_role(database, ROLE, SHARED) as session:
        try:
            yield session
        finally:
            for login in ("team_a_pods", "team_a_reads", "team_b_pods", "made_before"):
                session.execute(f"DROP ROLE IF EXISTS {login}")


@pytest.fixture
def logins(admin: Session, database: Database, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command as the owner; its exit code, standard output and standard error."""

    def run(*arguments: str, url: str = database.url) -> tuple[int, str, str]:
        code = main(["logins", *arguments, "--database-url", url])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def add(logins: Command) -> Command:
    def run(namespace: str, *arguments: str, **options: str) -> tuple[int, str, str]:
        fixed = ("--owner", CLUSTER, "--pod-role", ROLE)
        return logins("add", "--namespace", namespace, *fixed, *arguments, **options)

    return run


def claimed(admin: Session, namespace: str) -> Any:
    return admin.claim(admin.insert(owner=CLUSTER, namespace=namespace))


def stored_password(admin: Session, login: str) -> Any:
    [(stored,)] = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", login)
    return stored


def test_what_it_prints_is_a_secret_whose_url_begins_that_namespaces_runs(
    admin: Session, add: Command, database: Database
) -> None:
    code, printed, said = add("team-a", "--connection-limit", "7")
    assert (code, said) == (0, "the login team_a_pods of the namespace team-a (pods) is new\n")
    secret = json.loads(printed)
    assert (secret["kind"], secret["metadata"]) == ("Secret", {"name": "perdure-pod-database", "namespace": "team-a"})
    assert add("team-b", "--host", "db.example:5433")[0] == 0
    with closing(psycopg.connect(secret["stringData"]["url"], autocommit=True)) as connection:
        pod = Session(connection)
        assert pod.execute("SELECT session_user::text, current_database()::text") == [("team_a_pods", database.name)]
        assert pod.begin(claimed(admin, "team-a"))["answer"] == 0
        assert pod.begin(claimed(admin, "team-b"))["answer"] == 9
    limits = admin.execute("SELECT rolconnlimit, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = 'team_a_pods'")
    assert limits == [(7, False, False)]
    with closing(database.connect(role=SHARED)) as connection:
        assert Session(connection).begin(claimed(admin, "team-a"))["answer"] == 9


def test_pods_may_see_the_server_elsewhere(add: Command, database: Database) -> None:
    url = f"{database.url}&sslmode=prefer&sslrootcert=/my/own" if "?" in database.url else database.url
    printed = json.loads(add("team-a", "--host", "db.example:5433", "--secret", "mine", "--key", "dsn", url=url)[1])
    assert printed["metadata"]["name"] == "mine"
    given = psycopg.conninfo.conninfo_to_dict(printed["stringData"]["dsn"])
    assert (given["host"], given["port"], given["user"]) == ("db.example", "5433", "team_a_pods")
    assert given["dbname"] == database.name
    assert "sslrootcert" not in given
    assert len(str(given["password"])) == 32


def test_no_statement_holds_its_password(admin: Session, add: Command, database: Database, postgres: Server) -> None:
    url = psycopg.conninfo.make_conninfo(database.url, options="-c log_statement=all")
    _, printed, said = add("team-a", url=url)
    password = str(psycopg.conninfo.conninfo_to_dict(json.loads(printed)["stringData"]["url"])["password"])
    assert 'ALTER ROLE "team_a_pods" LOGIN PASSWORD' in postgres.log
    assert password not in postgres.log
    assert password not in said
    assert stored_password(admin, "team_a_pods").startswith("SCRAM-SHA-256$")


def test_one_that_exists_gets_a_new_password_only_when_told_so(admin: Session, add: Command) -> None:
    add("team-a")
    before = stored_password(admin, "team_a_pods")
    code, printed, said = add("team-a")
    assert (code, printed) == (64, "")
    assert "--new-password" in said
    assert stored_password(admin, "team_a_pods") == before
    code, printed, said = add("team-a", "--new-password")
    assert (code, said) == (0, "the login team_a_pods of the namespace team-a (pods) is given a new password\n")
    assert stored_password(admin, "team_a_pods") != before


def test_a_login_of_somebody_else_is_not_taken_over(admin: Session, add: Command) -> None:
    admin.execute("CREATE ROLE made_before LOGIN")
    for how in ((), ("--new-password",)):
        code, printed, said = add("team-a", "--login", "made_before", *how)
        assert (code, printed) == (64, "")
        assert "there is a login 'made_before' already" in said
    assert stored_password(admin, "made_before") is None
    code, printed, said = add("team-a", "--login", "made_before", "--existing")
    assert (code, printed) == (0, "")
    assert said == "the login made_before of the namespace team-a (pods) is bound\n"
    assert stored_password(admin, "made_before") is None
    code, _, said = add("team-b", "--login", "made_before", "--existing")
    assert code == 64
    assert "bound to the namespace team-a already" in said
    code, _, said = add("team-a", "--login", "made_before", "--existing", "--purpose", "reader")
    assert code == 64
    assert "bound to this namespace already, for pods" in said
    assert add("team-a", "--login", "nobody", "--existing")[0] == 64


def test_a_reader_reads_and_begins_nothing(admin: Session, add: Command) -> None:
    code, printed, _ = add("team-a", "--purpose", "reader")
    attempt = claimed(admin, "team-a")
    assert code == 0
    with closing(psycopg.connect(printed.strip(), autocommit=True)) as connection:
        reader = Session(connection)
        assert reader.begin(attempt)["answer"] == 9
        own = "SELECT run_id FROM perdure.own_runs(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 10)"
        assert reader.execute(own) == [(attempt.run,)]


def test_they_are_listed_and_locked(admin: Session, add: Command, logins: Command) -> None:
    assert logins("list")[1] == "no login is bound to a namespace: all pods share theirs\n"
    url = json.loads(add("team-a")[1])["stringData"]["url"]
    assert [row.split() for row in logins("list")[1].splitlines()] == [
        ["login", "namespace", "purpose", "owner"],
        ["team_a_pods", "team-a", "pods", CLUSTER],
    ]
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        assert logins("lock", "team_a_pods")[:2] == (0, "team_a_pods is locked; sessions that were ended: 1\n")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(url)
    [one] = json.loads(logins("list", "-o", "json")[1])
    assert (one["purpose"], one["may_log_in"]) == ("locked", False)
    assert add("team-a", "--new-password")[0] == 0
    assert json.loads(logins("list", "-o", "json")[1])[0]["purpose"] == "pods"
    code, _, said = logins("lock", "postgres")
    assert code == 64
    assert "no login 'postgres' is bound" in said


def test_a_login_that_changes_itself_is_locked_all_the_same(admin: Session, add: Command, logins: Command) -> None:
    """Its open transaction holds its role, and what waits for that would wait for as long as it likes."""
    url = json.loads(add("team-a")[1])["stringData"]["url"]
    attempt = claimed(admin, "team-a")
    with closing(psycopg.connect(url)) as connection:
        connection.execute("ALTER ROLE CURRENT_USER PASSWORD 'mine'")
        assert logins("lock", "team_a_pods")[:2] == (0, "team_a_pods is locked; sessions that were ended: 1\n")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    [one] = json.loads(logins("list", "-o", "json")[1])
    assert (one["purpose"], one["may_log_in"]) == ("locked", False)
    with admin.connection.transaction():
        admin.execute(f"SET LOCAL SESSION AUTHORIZATION {SHARED}")
        assert admin.begin(attempt)["answer"] == 9


def test_who_may_not_change_the_role_shuts_the_login_out_all_the_same(
    admin: Session, logins: Command, add: Command, database: Database
) -> None:
    admin.execute(f"CREATE ROLE made_before LOGIN IN ROLE {ROLE}")
    assert add("team-a", "--existing", "--login", "made_before")[0] == 0
    admin.execute("CREATE ROLE team_b_pods LOGIN")  # stands for an owner who may change no roles
    admin.execute("GRANT USAGE ON SCHEMA perdure TO team_b_pods")
    admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA perdure TO team_b_pods")
    try:
        code, _, said = logins("lock", "made_before", url=database.url_as("team_b_pods"))
        assert code != 0
        assert "pg_signal_backend" in said
        assert admin.execute("SELECT purpose FROM perdure.logins") == [("locked",)]
    finally:
        admin.execute("DROP OWNED BY team_b_pods")


def test_another_password_ends_the_sessions_of_the_one_before(add: Command) -> None:
    url = json.loads(add("team-a")[1])["stringData"]["url"]
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        assert add("team-a", "--new-password")[0] == 0
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_the_role_of_all_pods_is_no_login(add: Command) -> None:
    code, _, said = add("team-a", "--login", ROLE)
    assert code == 64
    assert "is the role of all pods" in said


def test_a_login_of_pods_makes_none(add: Command, logins: Command, database: Database, admin: Session) -> None:
    code, printed, said = add("team-a", url=database.url_as(SHARED))
    assert (code, printed) == (69, "")
    assert "it takes the owner of the schema" in said or "has no rights" in said or "permission denied" in said
    assert admin.execute("SELECT FROM pg_roles WHERE rolname = 'team_a_pods'") == []


@pytest.mark.parametrize("owner", ["", "cluster:", "one", "queue:default"])
def test_an_owner_that_is_no_cluster_is_named(logins: Command, owner: str) -> None:
    code, _, said = logins("add", "--namespace", "team-a", "--owner", owner)
    assert code == 64
    assert "kube-system" in said


def test_names_are_of_one_namespace_each() -> None:
    long = "n" * 62
    names = {login_name(f"{long}{last}", "{}_pods") for last in "abc"} | {login_name("a-b", "{}_pods")}
    assert len(names) == 4
    assert max(map(len, names)) == 63
    assert "a_b_pods" in names
