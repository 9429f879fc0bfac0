"""Somebody reads the claim in a pod's spec and begins the attempt before the pod: the attacker's side, and ours."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from perdure.store.schema.migrate import grants_sql
from tests.harness.eventually import eventually
from tests.integration.store.rows import Attempt, Session

from .scene import Scene

ROLE = "perdure_thieves"
OWN = "perdure_thieves_victim"


@pytest.fixture
def thief(database: Any) -> Any:
    """With a login of pods, and what `view` in the namespace shows."""
    with closing(database.connect()) as admin:
        admin.execute(f"CREATE ROLE {ROLE} LOGIN")
        admin.execute(grants_sql(ROLE))
        try:
            with closing(database.connect(role=ROLE)) as connection:
                yield Session(connection)
        finally:
            admin.execute(f"DROP OWNED BY {ROLE}")
            admin.execute(f"DROP ROLE {ROLE}")


@pytest.fixture
def own_url(database: Any, scene: Scene) -> Any:
    """The URL of a login that is bound to the namespace."""
    with closing(database.connect()) as admin:
        admin.execute(f"CREATE ROLE {OWN} LOGIN")
        admin.execute(grants_sql(OWN))
        bind(database, scene, OWN)
        try:
            yield database.url_as(OWN)
        finally:
            admin.execute(f"DROP OWNED BY {OWN}")
            admin.execute(f"DROP ROLE {OWN}")


def bind(database: Any, scene: Scene, login: str) -> None:
    """Have the namespace's runs begun by a login."""
    owner = f"cluster:{scene.api.get('/api/v1/namespaces/kube-system')['metadata']['uid']}"
    database.query("INSERT INTO perdure.logins VALUES (%s, %s, %s, 'pods')", login, owner, scene.namespace)


def claim_shown_by(pod: Any) -> UUID:
    """What anybody reads who may read pods."""
    [container] = pod["spec"]["containers"]
    [claim] = [one["value"] for one in container["env"] if one["name"] == "PERDURE_CLAIM"]
    return UUID(claim)


def test_who_takes_the_begin_gets_the_attempt_ended_and_is_reported(
    start_operator: Any, scene: Scene, database: Any, thief: Session
) -> None:
    operator = start_operator()
    uid = scene.apply(backoffLimit=0)
    pod = scene.until_pod()
    stolen = Attempt(UUID(uid), claim_shown_by(pod))
    assert thief.begin(stolen)["answer"] == 0
    assert thief.checkpoint(stolen, "greet", 1, "hello thief") == 0

    child = scene.play(pod)

    def over() -> bool:
        assert thief.heartbeat(stolen)[0] == 0
        return not child.running()

    eventually(over, deadline=30, every=0.2)
    scene.tell_end(pod, child.wait(5))
    stalled = eventually(lambda: scene.condition("Stalled"), deadline=20)
    assert stalled is not None
    assert stalled["reason"] == "BegunElsewhere"
    eventually(lambda: "BegunElsewhere" in scene.events(), deadline=20)
    assert thief.heartbeat(stolen)[0] == 3
    assert thief.checkpoint(stolen, "greet", 1, "hello thief") == 3
    assert thief.finish(stolen, "succeeded", "mine") == 3
    assert database.query("SELECT count(*) FROM perdure.steps") == [(0,)]
    assert database.query("SELECT crashes, disruptions FROM perdure.runs") == [(0, 0)]

    assert scene.play_to_the_end(scene.until_pod(2, deadline=30)) == 0
    assert scene.until_phase("Succeeded")["result"] == "hello you"
    assert scene.attempts(uid) == [(1, "begun elsewhere"), (2, "completed")]
    assert operator.metric('attempts_ended_total{ending="begun elsewhere"}') == 1


def test_once_the_pod_has_begun_what_its_spec_shows_opens_nothing(
    start_operator: Any, scene: Scene, thief: Session
) -> None:
    start_operator()
    uid = scene.apply()
    pod = scene.until_pod()
    reader = Attempt(UUID(uid), claim_shown_by(pod))
    assert scene.play_to_the_end(pod) == 0
    assert thief.begin(reader)["answer"] == 3
    assert thief.checkpoint(reader, "greet", 1, "forged") == 3
    assert thief.finish(reader, "failed") == 3
    assert scene.until_phase("Succeeded")["result"] == "hello you"


def test_with_a_login_of_its_own_a_namespace_loses_nothing_to_another_one(
    start_operator: Any, scene: Scene, database: Any, own_url: str, thief: Session
) -> None:
    operator = start_operator(pod_database_url=own_url)
    uid = scene.apply(backoffLimit=0)
    pod = scene.until_pod()
    reader = Attempt(UUID(uid), claim_shown_by(pod))
    for _ in range(3):
        assert thief.begin(reader)["answer"] == 9
    assert thief.finish(reader, "failed") == 3
    assert thief.release_run(reader) == 3
    assert scene.play_to_the_end(pod) == 0
    assert thief.begin(reader)["answer"] == 3
    assert scene.until_phase("Succeeded")["result"] == "hello you"
    assert scene.attempts(uid) == [(1, "completed")]
    assert operator.metric('attempts_ended_total{ending="begun elsewhere"}') == 0


def test_a_pod_with_the_login_of_others_is_told_and_waits_for_the_right_one(
    start_operator: Any, scene: Scene, database: Any, own_url: str, thief: Session
) -> None:
    start_operator(pod_database_url=database.url_as(ROLE))
    uid = scene.apply(backoffLimit=0)
    pod = scene.until_pod()
    child = scene.play(pod)
    assert child.wait(30) == 69
    assert f"not one for pods of the namespace '{scene.namespace}'" in child.errors
    scene.tell_end(pod, 69)
    stalled = eventually(lambda: scene.condition("Stalled"), deadline=20)
    assert stalled is not None
    assert stalled["reason"] == "StoreUnreachable"
    assert database.query("SELECT crashes, disruptions FROM perdure.runs") == [(0, 0)]

    bind(database, scene, ROLE)
    assert scene.play_to_the_end(scene.until_pod(2, deadline=30)) == 0
    assert scene.until_phase("Succeeded")["result"] == "hello you"
    assert scene.attempts(uid) == [(1, "store unreachable"), (2, "completed")]
