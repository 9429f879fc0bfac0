"""Runs whose Workflows went unseen are cancelled, and no others: not on the word of half a list, nor anybody else's."""

from __future__ import annotations

import functools
import time
from uuid import uuid4

import pytest

from tests.cluster.faults.api_proxy import Answer, ApiProxy, Requests
from tests.harness.eventually import eventually

LISTS = Requests(verb="list", resource="workflows")


def cancelled(scene, uid):
    [(state, cancel)] = scene.database.query("SELECT state, cancel FROM perdure.runs WHERE id = %s", uid)
    return state == "cancelled" or cancel


def strand(scene, start_operator):
    """A run whose Workflow was deleted while no operator was there."""
    operator = start_operator()
    uid = scene.apply()
    scene.until_pod()
    operator.stop()
    scene.delete()
    return uid


def test_a_workflow_deleted_while_the_operator_was_down_has_its_run_cancelled(scene, start_operator):
    uid = strand(scene, start_operator)
    start_operator()
    eventually(lambda: cancelled(scene, uid), deadline=20)


def test_one_deleted_and_made_anew_under_its_name_is_another_run(scene, start_operator):
    first = strand(scene, start_operator)
    second = scene.apply()
    start_operator()
    eventually(lambda: cancelled(scene, first), deadline=20)
    pod = eventually(lambda: next((p for p in scene.pods() if second[:8] in p["metadata"]["name"]), None), deadline=20)
    assert scene.play_to_the_end(pod) == 0
    scene.until_phase("Succeeded")
    assert scene.attempts(second) == [(1, "completed")]


def test_deleted_and_made_anew_while_it_looks_on(scene, start_operator):
    start_operator()
    first = scene.apply()
    scene.until_pod()
    scene.delete()
    second = scene.apply()
    eventually(lambda: cancelled(scene, first), deadline=20)
    pod = eventually(lambda: next((p for p in scene.pods() if second[:8] in p["metadata"]["name"]), None), deadline=20)
    assert scene.play_to_the_end(pod) == 0
    scene.until_phase("Succeeded")


@pytest.mark.parametrize("code", [403, 404, 410, 500])
def test_a_list_that_fails_cancels_nothing(scene, start_operator, api_server, tmp_path, code):
    uid = strand(scene, start_operator)
    other = scene.apply("other")
    with ApiProxy(api_server.kubeconfig) as proxy:
        with proxy.fault(Answer(code), LISTS):
            operator = start_operator(kubeconfig=str(proxy.kubeconfig(tmp_path / "kubeconfig")))
            eventually(lambda: "not everything could be compared" in operator.child.errors, deadline=20)
            assert operator.get("/readyz")[0] == 503
            time.sleep(2)
            assert not cancelled(scene, uid)
        eventually(lambda: cancelled(scene, uid), deadline=40)
        assert scene.play_to_the_end(scene.until_pod(of="other")) == 0
        scene.until_phase("Succeeded", "other")
        assert scene.attempts(other) == [(1, "completed")]
        operator.stop()


def test_runs_of_other_namespaces_clusters_and_queues_are_left_alone(scene, start_operator, api_server):
    start_operator().until_leading()
    owner = f"cluster:{api_server.api.get('/api/v1/namespaces/kube-system')['metadata']['uid']}"
    rows = {
        (owner, "not-watched"): uuid4(),
        (f"cluster:{uuid4()}", scene.namespace): uuid4(),
        ("queue:default", scene.namespace): uuid4(),
    }
    orphan = uuid4()
    for (of, namespace), uid in [*rows.items(), ((owner, scene.namespace), orphan)]:
        scene.database.query(
            "INSERT INTO perdure.runs (id, owner, namespace, name, entrypoint, input)"
            " VALUES (%s, %s, %s, %s, 'a:b', '{}')",
            uid,
            of,
            namespace,
            str(uid),
        )
    start_operator(identity="other", leader_election_name="other")  # compares at once
    eventually(lambda: cancelled(scene, orphan), deadline=20)
    assert not [uid for uid in rows.values() if cancelled(scene, uid)]


def waits(scene, name, reason):
    return (scene.condition("Reconciling", name) or {}).get("reason") == reason


def test_places_are_given_to_those_who_wait_longest(scene, start_operator):
    operator = start_operator(max_active_runs="2")
    names = ["a", "b", "c", "d"]
    for name in names:
        scene.apply(name)
        reason = "Starting" if name in "ab" else "AtCapacity"
        eventually(functools.partial(waits, scene, name, reason), deadline=20)
    assert len(scene.pods()) == 2
    assert (operator.metric("active_runs"), operator.metric("waiting_runs")) == (2, 2)
    for name, following in (("a", "c"), ("b", "d")):
        assert scene.play_to_the_end(scene.until_pod(of=name)) == 0
        scene.until_phase("Succeeded", name)
        scene.until_pod(of=following, deadline=5)
    for name in ("c", "d"):
        assert scene.play_to_the_end(scene.until_pod(of=name)) == 0
        scene.until_phase("Succeeded", name)
    assert (operator.metric("active_runs"), operator.metric("waiting_runs")) == (0, 0)
