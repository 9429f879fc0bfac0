"""What stands in several files of tests/cluster/parts because it must is the same in all of them."""

from __future__ import annotations

from tests.cluster.built.binaries import KUBERNETES_VERSION
from tests.cluster.kind.programs import KIND_VERSION, MODULES


def test_kubeadm_is_of_the_version_of_the_rest_of_kubernetes() -> None:
    versions = {module.title: module.version for module in MODULES}
    assert versions["kubeadm"] == KUBERNETES_VERSION
    assert versions["kind"] == versions["pause"] == KIND_VERSION
