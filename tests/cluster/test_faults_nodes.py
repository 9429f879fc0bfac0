from __future__ import annotations

import pytest

from tests.harness.eventually import eventually

from . import pods
from .cluster import Capability
from .faults import nodes

pytestmark = pytest.mark.timeout(180)

HERE = "kubernetes.io/hostname"


@pytest.fixture
def node(cluster):
    """The node that suffers; the first stays well."""
    return cluster.nodes[1]


@pytest.fixture
def beating(cluster, namespace, node):
    """A pod on that node that never stops, whatever happens to the node."""
    name = pods.create(cluster, namespace, pods.beating(cluster, "beating", nodeName=node))
    before = pods.status(pods.until_running(cluster, namespace, name))
    yield name
    eventually(lambda: pods.logs(cluster, namespace, name, tailLines="1") != "")
    after = pods.status(pods.get(cluster, namespace, name))
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    assert pods.longest_silence(cluster, namespace, name) < 5


def starts_only_elsewhere(cluster, namespace, node):
    """A new pod on `node` has not started when one that was created after it on another node has ended."""
    healthy = next(other for other in cluster.nodes if other != node)
    pods.create(cluster, namespace, pods.python(cluster, "here", "print('here')", nodeName=node))
    pods.create(cluster, namespace, pods.python(cluster, "elsewhere", "print('elsewhere')", nodeName=healthy))
    pods.until_ended(cluster, namespace, "elsewhere")
    assert pods.get(cluster, namespace, "here")["status"]["phase"] == "Pending"
    return True


def starts_now(cluster, namespace):
    assert pods.until_ended(cluster, namespace, "here")["status"]["phase"] == "Succeeded"
    assert pods.logs(cluster, namespace, "here") == "here\n"
    return True


def test_a_drained_node_is_empty_and_takes_no_pod_until_it_is_uncordoned(cluster, namespace, node):
    pods.create(cluster, namespace, pods.python(cluster, "before", nodeSelector={HERE: node}))
    pods.until_running(cluster, namespace, "before")
    with nodes.drained(cluster, node):
        assert pods.gone(cluster, namespace, "before")
        pods.create(cluster, namespace, pods.python(cluster, "during", nodeSelector={HERE: node}))
        eventually(lambda: "unschedulable" in why_pending(cluster, namespace, "during"))
    assert pods.until_running(cluster, namespace, "during")["spec"]["nodeName"] == node


def test_a_drain_waits_for_a_budget(cluster, namespace, node):
    pods.create(cluster, namespace, pods.python(cluster, "kept", nodeName=node))
    pods.until_running(cluster, namespace, "kept")
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}}
    cluster.api.create(
        f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", {"metadata": {"name": "all"}, "spec": budget}
    )
    with pytest.raises(AssertionError, match="not within"), nodes.drained(cluster, node, deadline=1):
        pass
    assert not pods.gone(cluster, namespace, "kept")
    assert not cluster.api.get(f"/api/v1/nodes/{node}")["spec"].get("unschedulable")


@pytest.mark.capability(Capability.PARTITION)
def test_a_node_that_is_cut_off_hears_of_nothing(cluster, namespace, node, beating):
    with nodes.cut_off(cluster, node):
        assert starts_only_elsewhere(cluster, namespace, node)
    assert starts_now(cluster, namespace)


@pytest.mark.capability(Capability.NODE_POWER)
@pytest.mark.parametrize("fault", [nodes.off, nodes.frozen])
def test_a_node_without_power_or_time_starts_no_pod(cluster, namespace, node, fault):
    with fault(cluster, node):
        assert starts_only_elsewhere(cluster, namespace, node)
    assert starts_now(cluster, namespace)


def test_a_deleted_node_takes_no_pod_until_it_is_there_again(cluster, namespace, node, beating):
    with nodes.deleted(cluster, node):
        assert node not in cluster.nodes
        pods.create(cluster, namespace, pods.python(cluster, "during", nodeSelector={HERE: node}))
        eventually(lambda: may_not_start(cluster, namespace, "during"), 30)
        assert pods.get(cluster, namespace, "during")["status"]["phase"] == "Pending"
    assert pods.until_running(cluster, namespace, "during")["spec"]["nodeName"] == node


@pytest.mark.capability(Capability.NODE_PARTS)
@pytest.mark.parametrize("fault", [nodes.gone, nodes.paused])
def test_without_its_kubelet_a_node_starts_no_pod(cluster, namespace, node, beating, fault):
    with fault(cluster, node, "kubelet"):
        last = nodes.heartbeat(cluster, node)
        assert starts_only_elsewhere(cluster, namespace, node)
        assert nodes.heartbeat(cluster, node) == last
    assert starts_now(cluster, namespace)


@pytest.mark.capability(Capability.NODE_PARTS, Capability.NODE_COMMANDS)
@pytest.mark.parametrize("fault", [nodes.gone, nodes.paused])
def test_without_containerd_containers_run_on_and_none_starts(cluster, namespace, node, beating, fault):
    with fault(cluster, node, "containerd"):
        assert starts_only_elsewhere(cluster, namespace, node)
    assert starts_now(cluster, namespace)


@pytest.mark.capability(Capability.NODE_PARTS)
def test_a_fault_ends_with_a_test_that_fails(cluster, namespace, node):
    def fails():
        with nodes.gone(cluster, node, "kubelet"):
            assert not cluster.part("kubelet", node).running
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert cluster.part("kubelet", node).running
    assert nodes.ready(cluster, node)


def why_pending(cluster, namespace, name):
    """What the scheduler says about a pod."""
    conditions = pods.get(cluster, namespace, name)["status"].get("conditions", [])
    return " ".join(one.get("message", "") for one in conditions if one["type"] == "PodScheduled")


def may_not_start(cluster, namespace, name):
    """Whether no node takes a pod, or one that is gone, which its scheduler has not heard of yet."""
    bound = "nodeName" in pods.get(cluster, namespace, name)["spec"]
    return bound or "node affinity" in why_pending(cluster, namespace, name)
