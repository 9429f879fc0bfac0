"""kube-score finds nothing in the manifests but what stands here with a reason, and each of these is still found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cluster.built.binaries import KUBE_SCORE
from tests.cluster.helm import Helm, tool

from .variants import VARIANTS

_TOLD_AS_FINE = 10  # kube-score's grade for that

EVERYWHERE = {
    "container-ephemeral-storage-request-and-limit": (
        "What they write to is an emptyDir with a size limit; for logs the kubelet has limits of its own."
    ),
    "container-image-pull-policy": (
        "A release's image is one tag or digest that never moves; a pull for each start would make the registry a part"
        " of every failover. image.pullPolicy changes it."
    ),
    "pod-networkpolicy": (
        "Off by default, for what reaches an API server differs by cluster: networkPolicy.enabled. The pod of `helm"
        " test` has none."
    ),
    "container-resources": (
        "No limit of CPU: it would throttle heartbeats, and a run whose heartbeat rests is given up."
    ),
}
EXCEPTIONS = {
    "Deployment": {
        **EVERYWHERE,
        "deployment-has-host-podantiaffinity": "topologySpreadConstraints spread them, on a single node, too.",
    },
    "StatefulSet": {
        **EVERYWHERE,
        "statefulset-has-servicename": "Nobody asks for its pod by name, so its Service need not be headless.",
        "pod-probes-identical": "That it listens is all that can be seen of it from outside.",
    },
    "Pod": {**EVERYWHERE},
    "NetworkPolicy": {"networkpolicy-targets-pod": "It is about pods of Workflows, which the operator makes."},
}
WITHOUT_USERS = {
    "container-security-context-user-group-id": "Whoever sets the users to null says that the platform gives them.",
}
ALONE = {
    "deployment-replicas": "Whoever sets one replica waits for its next start; its Service is for metrics alone.",
}


@pytest.fixture(scope="module")
def kube_score() -> Path:
    return tool(KUBE_SCORE, print)


def found(kube_score: Path, manifests: str) -> set[tuple[str, str, str]]:
    """What it finds: kind, check, and what it says."""
    command = [
        str(kube_score),
        "score",
        "--output-format=json",
        "--enable-optional-test=container-seccomp-profile",
        "-",
    ]
    told = json.loads(subprocess.run(command, input=manifests, capture_output=True, text=True, check=False).stdout)
    assert told
    return {
        (one["type_meta"]["kind"], check["check"]["id"], comment["summary"])
        for one in told
        for check in one["checks"]
        if not check["skipped"] and check["grade"] < _TOLD_AS_FINE
        for comment in check["comments"] or [{"summary": ""}]
    }


def test_nothing_is_found_that_is_not_explained(helm: Helm, kube_score: Path):
    everything: set[tuple[str, str]] = set()
    for name, values in VARIANTS.items():
        findings = found(kube_score, helm.text(values))
        without_users = values.get("podSecurityContext", {}).get("runAsUser", 0) is None
        measured = values.get("metrics", {}).get("serviceMonitor", {}).get("enabled", False)
        alone = measured and values.get("operator", {}).get("replicas", 2) == 1
        of_variant = {**(WITHOUT_USERS if without_users else {}), **(ALONE if alone else {})}
        assert set(of_variant) <= {check for _, check, _ in findings}, name
        rest = {one for one in findings if one[1] not in of_variant}
        assert sorted(one for one in rest if one[1] not in EXCEPTIONS.get(one[0], {})) == [], name
        everything |= {(kind, check) for kind, check, _ in rest}
    explained = {(kind, check) for kind, checks in EXCEPTIONS.items() for check in checks}
    assert explained - everything == set()


def test_a_container_that_may_be_root_would_be_found(helm: Helm, kube_score: Path):
    text = helm.text({}).replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    checks = {check for _, check, _ in found(kube_score, text)}
    assert "container-security-context-readonlyrootfilesystem" in checks
