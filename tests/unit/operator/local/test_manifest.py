"""Which Workflow a file has, and what else is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perdure.errors import UsageError
from perdure_operator.local.manifest import Manifest, read_manifest

WORKFLOW: dict[str, Any] = {
    "apiVersion": "perdure.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "w"},
    "spec": {"entrypoint": "a:b"},
}
CONFIG_MAP: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"a.py": "x = 1"},
}


def read(folder: Path, *documents: Any) -> Manifest:
    file = folder / "x.yaml"
    file.write_text("\n---\n".join(json.dumps(one) for one in documents))
    return read_manifest(file)


def test_the_one_workflow_and_its_neighbours(tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "aGk="}}
    elsewhere = {**CONFIG_MAP, "metadata": {"name": "far", "namespace": "far"}}

    found = read(tmp_path, CONFIG_MAP, {**secret, "stringData": {"b": "x"}}, WORKFLOW, elsewhere)

    assert found.workflow == WORKFLOW
    assert found.namespace == "default"
    assert found.config_maps == {"c": {"a.py": "x = 1"}}
    assert found.secrets == {"s": {"a": "hi", "b": "x"}}
    assert found.others == ("ConfigMap c", "Secret s", "ConfigMap far")


def test_a_list_as_kubectl_prints_it(tmp_path: Path) -> None:
    found = read(tmp_path, {"apiVersion": "v1", "kind": "List", "items": [CONFIG_MAP, WORKFLOW]})
    assert (found.workflow, found.others) == (WORKFLOW, ("ConfigMap c",))


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([], "has no Workflow of perdure.io/v1alpha1, but nothing"),
        ([CONFIG_MAP], "but ConfigMap c"),
        (
            [{**WORKFLOW, "apiVersion": "argoproj.io/v1alpha1"}],
            "has no Workflow of perdure.io/v1alpha1, but Workflow w",
        ),
        ([WORKFLOW, {**WORKFLOW, "metadata": {"name": "v"}}], "has 2 Workflows (w, v)"),
        ([{**WORKFLOW, "apiVersion": "perdure.io/v2"}], "is of apiVersion 'perdure.io/v2': write apiVersion: perdure"),
        ([{key: value for key, value in WORKFLOW.items() if key != "apiVersion"}], "has no apiVersion"),
        ([WORKFLOW, [1]], "document 2 is a list"),
        ([WORKFLOW, "text"], "document 2 is the value 'text'"),
        ([WORKFLOW, {"metadata": {}}], "document 2 has no kind"),
        ([{"kind": "List", "items": "x"}], "document 1 has no kind"),
        ([WORKFLOW, {**CONFIG_MAP, "data": {"a": 1}}], "data of ConfigMap c must be an object of texts"),
        ([WORKFLOW, {**CONFIG_MAP, "kind": "Secret", "data": {"a": "%"}}], "must be texts in base64"),
    ],
)
def test_other_files(tmp_path: Path, documents: list[Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, *documents)
    assert words in str(error.value)
