"""The operator with the rights that the chart gives it and no others: for all namespaces, and for some."""

from __future__ import annotations

import pytest

from perdure_operator.settings import Settings
from tests.cluster.api import Api
from tests.cluster.helm import Helm
from tests.cluster.rights import give_rights
from tests.harness.eventually import eventually
from tests.integration.operator.operators import Operator
from tests.integration.operator.scene import Scene
from tests.integration.operator.scrapers import Scraper, account

from .rights import new_namespace, token_kubeconfig


@pytest.fixture(params=["all namespaces", "some namespaces", "some namespaces, and no right of the cluster's"])
def operator(request, helm: Helm, api_server, database, children, namespace, tmp_path):
    """One that watches the test's namespace, and lives in another."""
    own = new_namespace(api_server.api)
    watched = [] if request.param == "all namespaces" else [namespace, new_namespace(api_server.api)]
    cluster = own if "no right" in request.param else ""
    values = {"operator": {"namespaces": watched, "clusterId": cluster}}
    give_rights(helm, api_server.api, own, values)
    (deployment,) = [one for one in helm.objects(values, namespace=own) if one["kind"] == "Deployment"]
    told = {one["name"]: one.get("value", "") for one in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}
    told = {name.removeprefix("PERDURE_OPERATOR_").lower(): value for name, value in told.items()}
    options = {name: value for name, value in told.items() if name in Settings.model_fields}
    account = token_kubeconfig(api_server, own, "perdure-operator", tmp_path / "kubeconfig")
    options |= {"metrics_port": "0", "pod_database_secret": "", "namespaces": options.get("namespaces", "")}
    before = refused(api_server.api)
    made = Operator(children, account, database.url, own, options)
    made.until_leading()
    yield made
    print(made.child.errors[-20_000:])  # shown if the test fails
    made.check()
    assert refused(api_server.api) == before


def refused(api: Api) -> set[str]:
    """How often the API server has let nobody in, for whatever; with watches."""
    lines = [line for line in api.text("/metrics").splitlines() if line.startswith("authorization_attempts_total{")]
    assert lines
    return {line for line in lines if 'result="allowed"' not in line}


def test_a_run_from_a_config_map_to_the_end_of_its_workflow(operator: Operator, scene: Scene, api_server):
    code = "from perdure import workflow\n\n@workflow\ndef main() -> int:\n    return 17\n"
    api_server.api.create(
        f"/api/v1/namespaces/{scene.namespace}/configmaps",
        {"metadata": {"name": "code"}, "data": {"greeting.py": code}},
    )
    scene.apply(input={}, source={"configMap": {"name": "code"}}, ttlSecondsAfterFinished=1)
    pod = scene.until_pod()
    scene.play_to_the_end(pod)
    eventually(lambda: "Succeeded" in scene.events(), deadline=20)
    eventually(lambda: not _there(scene), deadline=20)  # its time was over


def test_a_pod_that_went_is_seen_to_have_gone(operator: Operator, scene: Scene):
    # It has not begun, so nobody but a watch of pods can tell.
    scene.apply()
    scene.delete_pod(scene.until_pod())
    scene.play_to_the_end(scene.until_pod(2))
    assert scene.until_phase("Succeeded")["attempts"] == 2


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_it_can_ask_who_may_read_metrics(operator: Operator, api_server, namespace):
    if not any(line["message"] == "serving metrics" for line in operator.log):
        assert operator.get("/metrics")[0] == 404  # without a right of the cluster's nobody can be asked
        return
    scraper = Scraper(operator)
    assert scraper.get(account(api_server.api, namespace, may_read=True))[0] == 200
    assert scraper.get(account(api_server.api, namespace, may_read=False))[0] == 403


def _there(scene: Scene) -> list[str]:
    items = scene.api.get(f"/apis/perdure.io/v1alpha1/namespaces/{scene.namespace}/workflows")["items"]
    return [one["metadata"]["name"] for one in items]
