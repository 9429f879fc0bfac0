"""Asked for what it does not offer, a cluster says what that is, and who was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.cluster import Capability, Cluster
from tests.cluster.images import Image


class Least(Cluster):
    """A cluster that offers nothing but itself."""

    title = "the least of clusters"
    kubeconfig = Path("nowhere")
    image = "none"

    def load(self, image: Image) -> None:
        raise AssertionError(image)


CALLS: list[tuple[Callable[[Cluster], object], Capability]] = [
    (lambda cluster: cluster.run_on("node-1", "true"), Capability.NODE_COMMANDS),
    (lambda cluster: cluster.ctr("node-1", "version"), Capability.NODE_COMMANDS),
    (lambda cluster: cluster.part("kubelet", "node-1"), Capability.NODE_PARTS),
    (lambda cluster: cluster.part("etcd"), Capability.CONTROL_PLANE),
    (lambda cluster: cluster.cut_off("node-1"), Capability.PARTITION),
]


@pytest.mark.parametrize(("call", "capability"), CALLS, ids=["run_on", "ctr", "part of a node", "part", "cut_off"])
def test_a_capability_that_is_missing_is_named(call: Callable[[Cluster], object], capability: Capability) -> None:
    with pytest.raises(NotImplementedError, match=f"^the least of clusters does not offer {capability}: ") as error:
        call(Least())
    assert f"mark.capability(Capability.{capability.name})" in str(error.value)
