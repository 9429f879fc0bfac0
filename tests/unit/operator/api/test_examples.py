"""The examples are what the operator takes, their code is there, and their input fits it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from perdure.entrypoints import load
from perdure_operator.api.parse import parse_workflow
from tests.unit.operator.api.manifests import workflow

ROOT = Path(__file__).resolve().parents[4]
FILES = sorted([*ROOT.glob("crds/examples/*.yaml"), *ROOT.glob("examples/*/workflow.yaml")])
TRANSFER = ROOT / "examples" / "transfer"


@pytest.fixture
def import_path(tmp_path, monkeypatch):
    """An empty folder on the import path; what is imported from it is forgotten."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_example_runs_what_it_says(file, import_path):
    documents = list(yaml.safe_load_all(file.read_text()))
    config_maps = {one["metadata"]["name"]: one["data"] for one in documents if one["kind"] == "ConfigMap"}
    for document in (one for one in documents if one["kind"] == "Workflow"):
        parsed = parse_workflow(workflow(document["spec"]))
        assert parsed.problem is None
        spec = parsed.spec
        assert spec is not None
        files = spec.source_inline or config_maps.get(spec.source_config_map) or {}
        assert bool(files) != bool(spec.image)
        for name, text in files.items():
            (import_path / name).write_text(text)
        if files:
            load(spec.entrypoint).signature.decode(spec.input)


@pytest.mark.parametrize("name", ["bank.py", "outside_bank.py"])
def test_the_transfers_manifest_has_the_code_beside_it(name):
    inline = yaml.safe_load((TRANSFER / "workflow.yaml").read_text())["spec"]["source"]["inline"]
    assert inline.keys() == {"bank.py", "outside_bank.py"}
    assert inline[name] == (TRANSFER / name).read_text(), "copy the file into the manifest, below source.inline"


def test_the_example_of_templates_uses_what_it_explains():
    spec = yaml.safe_load((ROOT / "crds/examples/pod-template.yaml").read_text())["spec"]
    assert {"containers", "initContainers", "volumes", "tolerations"} <= spec["podTemplate"]["spec"].keys()
    assert json.dumps(spec)  # no dates, no other things that YAML has and JSON has not
