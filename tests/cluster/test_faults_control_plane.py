from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from tests.harness.eventually import eventually

from . import pods
from .api import ApiException
from .cluster import Capability
from .faults import control_plane

pytestmark = [pytest.mark.capability(Capability.CONTROL_PLANE), pytest.mark.timeout(180)]

DEFAULT = "/api/v1/namespaces/default"


@pytest.fixture
def hurried(cluster):
    """A client that waits a second for an answer."""
    api = cluster.another_api(timeout=1)
    yield api
    api.close()


@pytest.fixture
def beating(cluster, namespace):
    """A pod that never stops, whatever happens to the control plane."""
    name = pods.create(cluster, namespace, pods.beating(cluster, "beating"))
    pods.until_running(cluster, namespace, name)
    yield name
    assert pods.status(pods.get(cluster, namespace, name))["restartCount"] == 0
    assert pods.longest_silence(cluster, namespace, name) < 5


def config_map(api, namespace, name):
    return api.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": name}, "data": {"is": name}})


def runs(cluster, namespace, name, **spec):
    """Whether a new pod runs to its end."""
    pods.create(cluster, namespace, pods.python(cluster, name, "print('here')", **spec))
    return pods.until_ended(cluster, namespace, name)["status"]["phase"] == "Succeeded"


def test_a_paused_api_server_lets_requests_time_out_and_answers_those_that_wait(cluster, namespace, hurried, beating):
    with ThreadPoolExecutor() as pool:
        with control_plane.paused(cluster, "kube-apiserver"):
            with pytest.raises(ReadTimeoutError):
                hurried.get(DEFAULT)
            patient = pool.submit(cluster.api.get, DEFAULT)
            with pytest.raises(ReadTimeoutError):
                hurried.get(DEFAULT)
            assert not patient.done()
        assert patient.result()["metadata"]["name"] == "default"
    assert runs(cluster, namespace, "after")


def test_an_api_server_that_is_gone_refuses_connections(cluster, namespace, hurried, beating):
    with control_plane.gone(cluster, "kube-apiserver"), pytest.raises(NewConnectionError):
        hurried.get(DEFAULT)
    assert runs(cluster, namespace, "after")


def test_a_restarted_api_server_ends_watches(cluster, namespace):
    config_map(cluster.api, namespace, "before")
    with cluster.api.opened(f"/api/v1/namespaces/{namespace}/configmaps", watch="true") as watch:
        assert b"before" in watch.read1()
        control_plane.restart(cluster, "kube-apiserver")
        with pytest.raises(HTTPError):
            watch.read()
    config_map(cluster.api, namespace, "after")


@pytest.mark.parametrize("fault", [control_plane.gone, control_plane.paused])
def test_without_etcd_nothing_is_written_and_nothing_is_lost(cluster, namespace, hurried, beating, fault):
    config_map(cluster.api, namespace, "before")
    with fault(cluster, "etcd"), pytest.raises((HTTPError, ApiException)):
        config_map(hurried, namespace, "during")
    config_map(cluster.api, namespace, "after")
    kept = cluster.api.get(f"/api/v1/namespaces/{namespace}/configmaps/before")
    assert kept["data"] == {"is": "before"}
    assert runs(cluster, namespace, "later")


def test_a_restarted_etcd_has_everything(cluster, namespace, beating):
    version = config_map(cluster.api, namespace, "before")["metadata"]["resourceVersion"]
    control_plane.restart(cluster, "etcd")
    kept = cluster.api.get(f"/api/v1/namespaces/{namespace}/configmaps/before")
    assert kept["metadata"]["resourceVersion"] == version
    assert runs(cluster, namespace, "later")


@pytest.mark.parametrize("fault", [control_plane.gone, control_plane.paused])
def test_without_controller_manager_a_deployment_makes_no_pods(cluster, namespace, fault):
    template = pods.python(cluster, "replica", restartPolicy="Always")
    spec = {"replicas": 1, "selector": {"matchLabels": template["metadata"]["labels"]}, "template": template}
    selected = {"labelSelector": "app=replica"}
    assert runs(cluster, namespace, "before")
    with fault(cluster, "kube-controller-manager"):
        deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        cluster.api.create(deployments, {"metadata": {"name": "replica"}, "spec": spec})
        assert runs(cluster, namespace, "meanwhile")
        assert cluster.api.get(f"/api/v1/namespaces/{namespace}/pods", **selected)["items"] == []
    eventually(lambda: cluster.api.get(f"/api/v1/namespaces/{namespace}/pods", **selected)["items"], 30)


@pytest.mark.parametrize("fault", [control_plane.gone, control_plane.paused])
def test_without_scheduler_a_pod_gets_no_node(cluster, namespace, fault):
    with fault(cluster, "kube-scheduler"):
        pods.create(cluster, namespace, pods.python(cluster, "waiting"))
        assert runs(cluster, namespace, "assigned", nodeName=cluster.nodes[0])
        assert "nodeName" not in pods.get(cluster, namespace, "waiting")["spec"]
    pods.until_running(cluster, namespace, "waiting")


def test_a_fault_ends_with_a_test_that_fails(cluster):
    def fails():
        with control_plane.gone(cluster, "kube-apiserver"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert cluster.part("kube-apiserver").running
    assert cluster.api.get(DEFAULT)
