"""The pods that the operator makes are pods of Kubernetes: of the oldest release that it takes, and of the newest."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import utils

from perdure_operator.api.database_tls import DatabaseTls
from perdure_operator.api.pod import PodSettings, SecretKey
from tests.unit.operator.api.manifests import TAKEN
from tests.unit.operator.api.pods import SETTINGS, pod

ROOT = Path(__file__).resolve().parents[4]
CHART = yaml.safe_load((ROOT / "charts" / "perdure" / "Chart.yaml").read_text())
OLDEST = CHART["kubeVersion"].removeprefix(">=").removesuffix("-0")
EXAMPLES = [
    document["spec"]
    for file in sorted((ROOT / "crds" / "examples").glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
    if document["kind"] == "Workflow"
]
EVERYTHING = PodSettings(
    database=SecretKey("store"),
    tls=DatabaseTls(mode="verify-full", ca_config_map="ca", client_secret="client"),
    runtime_image="registry.example/perdure:1",
    runtime_user=None,
    image_pull_policy="Always",
    image_pull_secrets=("pull",),
)


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))


@pytest.mark.parametrize("release", [OLDEST, utils.latest_version()])
@pytest.mark.parametrize("settings", [SETTINGS, EVERYTHING], ids=["least", "everything"])
def test_every_pod_is_one_of_kubernetes(settings: PodSettings, release: str) -> None:
    made = [pod(settings=settings), *(pod(settings=settings, **_known(spec)) for spec in EXAMPLES)]
    made += [pod(template, settings) for template in TAKEN.values()]
    assert len(made) > 15
    for one in made:
        utils.validate(one, release, strict=True)


def test_a_field_that_there_is_not_would_be_refused() -> None:
    made = pod()
    made["spec"]["containers"][0]["comand"] = ["perdure"]
    with pytest.raises(utils.ValidationError):
        utils.validate(made, OLDEST, strict=True)


def _known(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name in ("image", "podTemplate", "input", "source")}
