"""A login that is bound to a namespace for pods serves that namespace's runs and no others, and no other serves them.

Each function that a pod may call is tried by a login of another namespace that knows the run's id, its claim (`view` in
the namespace shows it) and, worse than that, its token and the id of its process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from uuid import UUID

import psycopg
import pytest

from perdure.errors import StoreError
from perdure.names import Claim, RunId
from perdure.store.attempts.attempts import AttemptStore
from perdure.store.postgres.opener import Opener
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.schema.function_files import granted_to
from tests.harness.databases import Database
from tests.harness.postgres import Server

from ..rows import Attempt, Session, with_pods_role

ROLE = "perdure_bound"
SHARED, TEAM_A, TEAM_B, READS_A = "perdure_shared", "perdure_of_a", "perdure_of_b", "perdure_reads_a"
CLUSTER, OTHER = "cluster:one", "cluster:two"

CHECKPOINTS = (
    "SELECT perdure.checkpoints(ARRAY[%(run)s], ARRAY[%(token)s], '{k}', '{9}', '{k}', '{1}', '{0}', '{0}', '{17}',"
    " '{NULL}')"
)
TRIED: dict[str, tuple[str, object]] = {
    "begin": ("SELECT answer FROM perdure.begin(%(run)s, %(claim)s, %(process)s, 1, 'mine', 1, 1, NULL)", [(9,)]),
    "checkpoint": ("SELECT perdure.checkpoint(%(run)s, %(token)s, 'mine', 9, 'mine', 1, 0, 0, '17', NULL)", [(3,)]),
    "checkpoints": (CHECKPOINTS, [([3],)]),
    "declare_cleanup": ("SELECT perdure.declare_cleanup(%(run)s, %(token)s, 60)", [(3,)]),
    "finish": ("SELECT perdure.finish(%(run)s, %(token)s, 'succeeded', '17', NULL)", [(3,)]),
    "release_run": ("SELECT perdure.release_run(%(run)s, %(token)s, 'crashed', 1, 1, 'mine')", [(3,)]),
    "heartbeat": ("SELECT answer FROM perdure.heartbeat(%(run)s, %(token)s, 1, 'mine')", [(3,)]),
    "load": ("SELECT * FROM perdure.load(ARRAY[%(run)s], ARRAY[%(token)s])", "PD003"),
    "own_attempts": ("SELECT * FROM perdure.own_attempts(%(run)s)", []),
    "own_runs": (
        "SELECT * FROM perdure.own_runs(%(run)s, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 100)",
        [],
    ),
    "own_steps": ("SELECT * FROM perdure.own_steps(%(run)s)", []),
    "own_values": ("SELECT * FROM perdure.own_values(%(run)s)", []),
}


@pytest.fixture
def admin(database: Database) -> Iterator[Session]:
    with with_pods_role(database, ROLE, SHARED) as session:
        others = (TEAM_A, TEAM_B, READS_A)
        for login in others:
            session.execute(f"CREATE ROLE {login} LOGIN IN ROLE {ROLE}")
        bind(session, TEAM_A, "team-a")
        bind(session, TEAM_B, "team-b")
        bind(session, READS_A, "team-a", "reader")
        try:
            yield session
        finally:
            for login in others:
                session.execute(f"DROP ROLE {login}")


@pytest.fixture
def by(database: Database, admin: Session) -> Iterator[Callable[[str], Session]]:
    """A session with one of the logins."""
    with ExitStack() as stack:
        yield lambda login: Session(stack.enter_context(closing(database.connect(role=login))))


def bind(admin: Session, login: str, namespace: str, purpose: str = "pods", owner: str = CLUSTER) -> None:
    admin.execute("INSERT INTO perdure.logins VALUES (%s, %s, %s, %s)", login, owner, namespace, purpose)


def claimed(admin: Session, namespace: str, owner: str = CLUSTER) -> Attempt:
    attempt = admin.claim(admin.insert(owner=owner, namespace=namespace))
    assert attempt is not None
    return attempt


def everything(admin: Session, run: UUID) -> list[tuple[str]]:
    return admin.execute(
        "SELECT to_json(r)::text FROM perdure.runs r WHERE id = %s"
        " UNION ALL SELECT to_json(s)::text FROM perdure.steps s WHERE run_id = %s"
        " UNION ALL SELECT to_json(a)::text FROM perdure.attempts a WHERE run_id = %s"
        " UNION ALL SELECT to_json(p)::text FROM perdure.processes p",
        *[run] * 3,
    )


def answer_of(session: Session, statement: str, told: dict[str, UUID]) -> object:
    try:
        return session.connection.execute(statement, told).fetchall()
    except psycopg.Error as error:
        return error.sqlstate


def test_each_function_that_a_pod_may_call_is_tried() -> None:
    assert set(TRIED) == set(granted_to("pods"))


@pytest.mark.parametrize("login", [TEAM_B, SHARED, READS_A])
@pytest.mark.parametrize("begun", [False, True])
def test_another_login_gets_nothing(admin: Session, by: Callable[[str], Session], login: str, begun: bool) -> None:
    attempt = claimed(admin, "team-a")
    if begun:
        own = by(TEAM_A)
        assert own.begin(attempt)["answer"] == 0
        assert own.checkpoint(attempt, "charge", 1, "secret") == 0
    before = everything(admin, attempt.run)
    told = {"run": attempt.run, "claim": attempt.claim, "token": attempt.token, "process": attempt.process}
    thief = by(login)
    for function, (statement, expected) in TRIED.items():
        if login == READS_A and function.startswith("own_"):
            continue  # it may read them, which test_own_runs.py holds
        assert answer_of(thief, statement, told) == expected, function
    assert everything(admin, attempt.run) == before


def test_its_own_login_runs_it_to_its_end(admin: Session, by: Callable[[str], Session]) -> None:
    attempt, pod = claimed(admin, "team-a"), by(TEAM_A)
    assert pod.begin(attempt)["answer"] == 0
    assert pod.begin(attempt)["answer"] == 1
    assert pod.checkpoint(attempt) == 0
    assert pod.finish(attempt) == 0


def test_a_namespace_may_have_two_while_one_takes_over_from_the_other(
    admin: Session, by: Callable[[str], Session]
) -> None:
    bind(admin, SHARED, "team-a")
    for login in (TEAM_A, SHARED):
        assert by(login).begin(claimed(admin, "team-a"))["answer"] == 0
    assert by(SHARED).begin(claimed(admin, "team-c"))["answer"] == 9, "it is not shared any more"


def test_namespaces_without_one_share_a_login_that_is_bound_to_none(
    admin: Session, by: Callable[[str], Session]
) -> None:
    shared = by(SHARED)
    for namespace in ("team-c", "team-d"):
        assert shared.begin(claimed(admin, namespace))["answer"] == 0
        for bound in (TEAM_A, READS_A):
            assert by(bound).begin(claimed(admin, namespace))["answer"] == 9


def test_it_is_bound_in_one_cluster(admin: Session, by: Callable[[str], Session]) -> None:
    assert by(TEAM_A).begin(claimed(admin, "team-a", OTHER))["answer"] == 9
    assert by(SHARED).begin(claimed(admin, "team-a", OTHER))["answer"] == 0


def test_one_that_is_locked_begins_nothing(admin: Session, by: Callable[[str], Session]) -> None:
    admin.execute("UPDATE perdure.logins SET purpose = 'locked' WHERE login = %s", TEAM_A)
    for namespace in ("team-a", "team-b", "team-c"):
        assert by(TEAM_A).begin(claimed(admin, namespace))["answer"] == 9
    shared = by(SHARED)
    attempt = claimed(admin, "team-a")
    assert shared.begin(attempt)["answer"] == 9, "to lock a stolen login lets no other one in"
    admin.execute("DELETE FROM perdure.logins WHERE login = %s", TEAM_A)
    assert shared.begin(attempt)["answer"] == 0


def test_what_has_begun_goes_on_though_its_login_is_bound_elsewhere(
    admin: Session, by: Callable[[str], Session]
) -> None:
    attempt, pod = claimed(admin, "team-c"), by(SHARED)
    assert pod.begin(attempt)["answer"] == 0
    bind(admin, TEAM_B, "team-c")
    bind(admin, SHARED, "team-d")
    assert pod.checkpoint(attempt) == 0
    assert pod.finish(attempt) == 0


def test_a_guess_of_the_claim_tells_no_namespace(admin: Session, by: Callable[[str], Session]) -> None:
    attempt = claimed(admin, "team-a")
    answer = by(TEAM_B).begin(Attempt(attempt.run, attempt.process))
    assert (answer["answer"], answer["namespace"]) == (3, None)


def test_the_refused_hold_no_lock_on_the_run(admin: Session, by: Callable[[str], Session]) -> None:
    attempt, thief = claimed(admin, "team-a"), by(TEAM_B)
    with thief.connection.transaction():
        assert thief.begin(attempt)["answer"] == 9
        free = "SELECT id FROM perdure.runs WHERE id = %s FOR UPDATE SKIP LOCKED"
        assert admin.execute(free, attempt.run) == [(attempt.run,)]


def test_the_servers_log_names_who_tried(admin: Session, by: Callable[[str], Session], postgres: Server) -> None:
    attempt, thief = claimed(admin, "team-a"), by(TEAM_B)
    # What a session may set of its own log does not keep this out of the server's.
    thief.execute("SET client_min_messages = error")
    assert thief.begin(attempt)["answer"] == 9
    said = f'login "{TEAM_B}" was refused the begin of run {attempt.run} of namespace "team-a"'
    assert said in postgres.log
    assert str(attempt.claim) not in postgres.log


def test_a_pod_with_the_wrong_login_is_told_so(admin: Session, database: Database) -> None:
    attempt = claimed(admin, "team-a")
    store = AttemptStore(Opener(database.url_as(TEAM_B), patience=5))
    process = ProcessIdentity(attempt.process, "host", 1, 1)
    with closing(store), pytest.raises(StoreError, match="not one for pods of the namespace 'team-a'"):
        store.begin(RunId(attempt.run), Claim(attempt.claim), process)
