"""Every manifest that the chart can make is one of Kubernetes, from the oldest release that it takes to the newest.

By the schemas that Kubernetes publishes, in which a field that they do not know is an error.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import yaml
from kubernetes_validate import utils

from tests.cluster.built.binaries import KUBERNETES_VERSION
from tests.cluster.helm import CHART, Helm

from .variants import VARIANTS

# Of the Prometheus operator.
ELSEWHERE = {"PrometheusRule", "ServiceMonitor"}
OLDEST = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix("-0")
RELEASES = [OLDEST, KUBERNETES_VERSION.removeprefix("v"), utils.latest_version()]


@pytest.fixture(scope="module")
def manifests(helm: Helm) -> list[dict[str, Any]]:
    """Each that there is in any variant, once."""
    texts = {json.dumps(one, sort_keys=True) for values in VARIANTS.values() for one in helm.objects(values)}
    return [json.loads(text) for text in sorted(texts)]


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema is read for the first manifest of its kind, and not for each."""
    monkeypatch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))


def validate(manifest: dict[str, Any], release: str) -> None:
    # It answers with the release by whose schemas it judged: not those of an older one.
    assert utils.validate(manifest, release, strict=True) == ".".join(release.split(".")[:2])


@pytest.mark.parametrize("release", RELEASES)
def test_every_manifest_is_one_of_kubernetes(manifests: list[dict[str, Any]], release: str) -> None:
    kinds = {one["kind"] for one in manifests}
    assert {"ClusterRole", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "StatefulSet"} <= kinds
    for manifest in manifests:
        if manifest["kind"] not in ELSEWHERE:
            validate(manifest, release)


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_wrong_would_be_refused(manifests: list[dict[str, Any]], release: str) -> None:
    deployment = next(one for one in manifests if one["kind"] == "Deployment")
    spoiled: tuple[dict[str, Any], ...] = ({"replica": 1}, {"replicas": "two"}, {"strategy": {"rolling": {}}})
    for wrong in spoiled:
        with pytest.raises(utils.ValidationError):
            validate({**deployment, "spec": {**deployment["spec"], **wrong}}, release)
