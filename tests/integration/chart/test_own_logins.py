"""The container `share`, where Postgres is the chart's own: each namespace has a login of its own, on real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from perdure.store.schema.logins import lock_login, login_name
from perdure.store.schema.migrate import migrate
from tests.cluster.helm import Helm
from tests.cluster.rights import give_rights
from tests.harness.databases import Database, Databases
from tests.harness.postgres import Servers
from tests.integration.operator.api_server import ApiServer
from tests.integration.store.rows import Session, with_pods_role

from .rights import Chores, new_namespace
from .test_chores import SECRET, secret

ROLE = "perdure_pods_chart"
Share = Callable[..., str]


@pytest.fixture
def teams(api_server: ApiServer) -> list[str]:
    return [new_namespace(api_server.api), new_namespace(api_server.api)]


@pytest.fixture(scope="module")
def databases(shared_servers: Servers) -> Databases:
    """On a server of their own, as the chart's is: `share` closes all that it has to logins of pods."""
    return Databases(shared_servers.embedded(parameters={"fsync": "off"}), migrate)


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    made = databases.new()
    yield made
    databases.drop(made)


@pytest.fixture
def admin(database: Database, teams: list[str]) -> Iterator[Session]:
    with with_pods_role(database, ROLE, "perdure_shared_chart") as session:
        try:
            yield session
        finally:
            made = "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"
            for (login,) in session.execute(made, [name_of(team) for team in [*teams, "gone"]]):
                drop(session, login)


@pytest.fixture
def share(
    helm: Helm, api_server: ApiServer, database: Database, admin: Session, teams: list[str], tmp_path: Path
) -> Share:
    """Runs it for namespaces as the operator's account; what it printed."""
    own = new_namespace(api_server.api)
    give_rights(helm, api_server.api, own, {"workflows": {"databaseSecret": {"namespaces": teams}}})
    chore = Chores(api_server, own, tmp_path)

    def run(*namespaces: str, seed: str = "one", **told: str) -> str:
        store = {"PERDURE_DATABASE_URL": database.url, "LOGINS_SEED": seed, "POD_ROLE": ROLE}
        where = {"SECRET": SECRET, "KEY": "url", "NAMESPACES": ",".join([own, *namespaces])}
        done = chore("share", "perdure-operator", **where, **store, **told)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def drop(admin: Session, login: str) -> None:
    admin.execute(f"DROP OWNED BY {login}")
    admin.execute(f"DROP ROLE {login}")


def name_of(namespace: str) -> str:
    return login_name(namespace, "perdure_pods_{}")


def urls(api_server: ApiServer, teams: list[str]) -> list[str]:
    return [secret(api_server.api, team, SECRET)["url"] for team in teams]


def begins(admin: Session, owner: str, urls: list[str], teams: list[str]) -> list[list[int]]:
    """What `begin` answers to each login for a run of each namespace."""
    answers = []
    for url in urls:
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            pod = Session(connection)
            answers.append([pod.begin(claimed(admin, owner, team))["answer"] for team in teams])
    return answers


def claimed(admin: Session, owner: str, namespace: str) -> Any:
    return admin.claim(admin.insert(owner=owner, namespace=namespace))


def cluster_of(api_server: ApiServer) -> str:
    return f"cluster:{api_server.api.get('/api/v1/namespaces/kube-system')['metadata']['uid']}"


def test_each_has_a_login_that_begins_its_own_runs_and_no_other(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    share(*teams)
    found = urls(api_server, teams)
    users = [psycopg.conninfo.conninfo_to_dict(url) for url in found]
    assert [user["user"] for user in users] == [name_of(team) for team in teams]
    assert len({str(user["password"]) for user in users}) == 2
    assert {len(str(user["password"])) for user in users} == {43}
    assert begins(admin, cluster_of(api_server), found, teams) == [[0, 9], [9, 0]]
    rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles WHERE rolname = ANY (%s)"
    assert admin.execute(rights, [name_of(team) for team in teams]) == [(False,)] * 2


def test_each_has_a_schema_for_its_tables_and_nothing_that_is_everybodys(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    """As it stays, though an administrator grants it, or the database comes from a backup."""
    shared = "perdure_shared_chart"
    for _ in range(2):
        share(*teams)
        for url in [*urls(api_server, teams), admin.connection.info.dsn.replace("user=postgres", f"user={shared}")]:
            with closing(psycopg.connect(url, autocommit=True)) as connection:
                [(login,)] = connection.execute("SELECT session_user::text").fetchall()
                connection.execute("CREATE TABLE IF NOT EXISTS accounts (name text)")
                assert connection.execute("SELECT current_schema()::text").fetchall() == [(login,)]
                for refused in ("CREATE SCHEMA mine", "CREATE TEMPORARY TABLE mine ()", "SELECT pg_advisory_lock(1)"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(refused)
        admin.execute(f"GRANT CREATE, TEMPORARY ON DATABASE {admin.connection.info.dbname} TO {ROLE}, PUBLIC")
        admin.execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO PUBLIC")


def test_each_start_finds_the_same_and_another_seed_changes_all(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    share(*teams)
    before = urls(api_server, teams)
    with closing(psycopg.connect(before[0], autocommit=True)) as connection:
        share(*teams)
        assert urls(api_server, teams) == before
        connection.execute("SELECT 1")
        share(*teams, seed="another")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    after = urls(api_server, teams)
    assert set(before) & set(after) == set()
    assert begins(admin, cluster_of(api_server), after, teams) == [[0, 9], [9, 0]]


def test_what_somebody_broke_the_next_start_mends(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    share(*teams)
    before = urls(api_server, teams)
    admin.execute("DELETE FROM perdure.logins")
    drop(admin, name_of(teams[0]))
    admin.execute(f"ALTER ROLE {name_of(teams[1])} NOLOGIN")
    api_server.api.delete(f"/api/v1/namespaces/{teams[0]}/secrets/{SECRET}")
    share(*teams)
    assert urls(api_server, teams) == before
    assert begins(admin, cluster_of(api_server), before, teams) == [[0, 9], [9, 0]]


def test_what_a_login_has_set_for_itself_is_reset_though_it_holds_its_role(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    share(*teams)
    url = urls(api_server, teams)[0]
    admin.execute(f"ALTER ROLE {name_of(teams[0])} SET temp_file_limit = '1GB'")
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
        connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {connection.info.dbname} SET work_mem = '64kB'")
        connection.execute("ALTER ROLE CURRENT_USER PASSWORD 'mine'")
        connection.autocommit = False
        connection.execute("ALTER ROLE CURRENT_USER PASSWORD 'again'")
        share(*teams)
    assert begins(admin, cluster_of(api_server), urls(api_server, teams), teams) == [[0, 9], [9, 0]]
    held = "SELECT setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname = %s"
    assert admin.execute(held, name_of(teams[0])) == [(["temp_file_limit=1GB"],)], "a login cannot change that one"


def test_a_login_that_cannot_be_set_leaves_the_others_with_theirs(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    admin.execute(f"CREATE SCHEMA {name_of(teams[0])}")
    try:
        assert f"Login {name_of(teams[0])} is NOT set" in share(*teams)
        assert begins(admin, cluster_of(api_server), urls(api_server, teams[1:]), teams) == [[9, 0]]
    finally:
        admin.execute(f"DROP SCHEMA {name_of(teams[0])}")


def test_the_login_of_one_that_is_taken_out_is_locked_until_it_comes_back(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    share(*teams)
    _, gone = urls(api_server, teams)
    with closing(psycopg.connect(gone, autocommit=True)) as connection:
        assert f"Login {name_of(teams[1])} is locked" in share(teams[0])
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(gone)
    assert begins(admin, cluster_of(api_server), urls(api_server, teams[:1]), teams) == [[0, 9]]
    share()
    assert admin.execute("SELECT DISTINCT purpose FROM perdure.logins") == [("locked",)]
    share(*teams)
    again = urls(api_server, teams)
    assert begins(admin, cluster_of(api_server), again, teams) == [[0, 9], [9, 0]]
    assert gone not in again
    share(*teams)
    assert urls(api_server, teams) == again


def test_one_that_was_locked_by_a_person_comes_back_with_another_password(
    api_server: ApiServer, admin: Session, database: Database, teams: list[str], share: Share
) -> None:
    share(*teams)
    kept, stolen = urls(api_server, teams)
    for _ in range(2):
        lock_login(database.url, name_of(teams[1]))
    share(*teams)
    assert urls(api_server, teams[:1]) == [kept]
    assert stolen not in urls(api_server, teams)
    assert begins(admin, cluster_of(api_server), urls(api_server, teams), teams) == [[0, 9], [9, 0]]


def test_with_another_id_of_the_cluster_nothing_of_the_old_one_is_open(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    share(*teams, CLUSTER_ID="old")
    kept, gone = urls(api_server, teams)
    said = share(teams[0], CLUSTER_ID="new")
    assert f"Login {name_of(teams[1])} is locked" in said
    assert name_of(teams[0]) not in said
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(gone)
    [url] = urls(api_server, teams[:1])
    assert url != kept
    assert begins(admin, "cluster:new", [url], teams) == [[0, 9]]
    assert begins(admin, "cluster:old", [url], teams) == [[9, 9]]
    bound = admin.execute("SELECT login, owner FROM perdure.logins WHERE purpose <> 'locked'")
    assert bound == [(name_of(teams[0]), "cluster:new")]


def test_logins_that_a_person_made_stay(admin: Session, teams: list[str], share: Share, api_server: ApiServer) -> None:
    theirs = {("theirs", owner, "team-of-theirs", "pods") for owner in (cluster_of(api_server), "cluster:of-theirs")}
    for one in theirs:
        admin.execute("INSERT INTO perdure.logins VALUES (%s, %s, %s, %s)", *one)
    share(teams[0])
    assert theirs < set(admin.execute("SELECT login, owner, namespace, purpose FROM perdure.logins"))


def test_a_namespace_that_is_gone_leaves_the_others_with_their_login(
    api_server: ApiServer, admin: Session, teams: list[str], share: Share
) -> None:
    said = share("gone", *teams, CLUSTER_ID="mine")
    assert f"Secret {SECRET} is NOT in namespace gone: " in said
    assert begins(admin, "cluster:mine", urls(api_server, teams), teams) == [[0, 9], [9, 0]]


def test_a_store_that_does_not_answer_is_told_in_a_line(
    helm: Helm, api_server: ApiServer, teams: list[str], tmp_path: Path
) -> None:
    own = new_namespace(api_server.api)
    give_rights(helm, api_server.api, own, {"workflows": {"databaseSecret": {"namespaces": teams}}})
    told = {"PERDURE_DATABASE_URL": "postgresql://perdure:secret@127.0.0.1:1/perdure", "LOGINS_SEED": "x"}
    where = {"SECRET": SECRET, "KEY": "url", "NAMESPACES": teams[0], "POD_ROLE": ROLE}
    done = Chores(api_server, own, tmp_path)("share", "perdure-operator", **where, **told)
    assert done.returncode == 1
    assert done.stderr.startswith("share: close the server to logins of pods: the store does not answer")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
