"""An operator that is told its cluster's id asks for no namespace, and its runs are that cluster's."""

from __future__ import annotations

from perdure_operator.decide.plan import Reason


def test_its_runs_are_those_of_that_cluster(start_operator, scene, database):
    operator = start_operator(cluster_id="eu-1")
    operator.until_leading()
    scene.apply()
    scene.play_to_the_end(scene.until_pod())
    scene.until_phase("Succeeded")
    assert database.query("SELECT DISTINCT owner FROM perdure.runs") == [("cluster:eu-1",)]
    assert operator.metric('api_requests_total{code="200",resource="namespaces",verb="get"}') == 0


def test_the_uid_of_kube_system_as_the_id_is_what_it_would_be_without(start_operator, scene, api_server):
    first = start_operator()
    first.until_leading()
    scene.apply()
    pod = scene.until_pod()
    first.stop()
    uid = api_server.api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    start_operator(cluster_id=uid).until_leading()
    scene.play_to_the_end(pod)
    assert scene.until_phase("Succeeded")["attempts"] == 1


def test_under_another_id_nothing_runs_again(start_operator, scene, database):
    first = start_operator(cluster_id="eu-1")
    first.until_leading()
    scene.apply()
    scene.until_pod()
    first.stop()
    start_operator(cluster_id="eu-2").until_leading()
    scene.until_phase("Stalled")
    assert len(scene.pods()) == 1
    conditions = {one["type"]: one for one in scene.status()["conditions"]}
    assert conditions["Stalled"]["reason"] == Reason.CHECKPOINTS_MISSING
    assert database.query("SELECT owner FROM perdure.runs") == [("cluster:eu-1",)]
