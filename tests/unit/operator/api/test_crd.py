"""The CRD that is checked in is the one of the models, and it is one that people can read and clients can apply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from perdure_operator.api.crd import crd, main, rendered
from perdure_operator.api.status_models import PHASES

ROOT = Path(__file__).resolve().parents[4]
FILE = ROOT / "crds" / "perdure.io_workflows.yaml"
(VERSION,) = crd()["spec"]["versions"]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from fields(schema[key], f"{path}[]")


def test_checked_in_file_is_what_the_models_say(tmp_path):
    assert FILE.read_text() == rendered(), "write it anew: python -m perdure_operator.api.crd"
    main([str(tmp_path / "crd.yaml")])
    assert (tmp_path / "crd.yaml").read_text() == rendered()


def test_file_holds_the_same_as_yaml_and_no_references():
    assert yaml.safe_load(FILE.read_text()) == crd()
    assert not any(line.split(": ")[-1].startswith(("&", "*")) for line in FILE.read_text().splitlines())


def test_client_side_apply_can_keep_it_in_an_annotation():
    assert len(FILE.read_bytes()) < 128 * 1024


def test_every_field_is_described_and_typed():
    described = dict(fields(SCHEMA))
    assert len(described) > 60
    assert [path for path, field in described.items() if path != ".metadata" and not field.get("description")] == []
    untyped = [path for path, field in described.items() if "type" not in field]
    assert all(described[path]["x-kubernetes-preserve-unknown-fields"] for path in untyped)
    assert {path.rpartition(".")[2] for path in untyped} == {"result", "restartPolicyRules"}


def test_schema_is_structural():
    def keys(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from value
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from keys(child)

    assert set(keys(SCHEMA)) & {"$ref", "$defs", "anyOf", "allOf", "title", "const"} == set()


def test_limits_and_defaults_are_in_the_schema():
    spec = SCHEMA["properties"]["spec"]["properties"]
    defaults = {name: field["default"] for name, field in spec.items() if "default" in field}
    assert defaults == {"input": {}, "backoffLimit": 6, "suspend": False, "cancel": False}
    assert spec["backoffLimit"]["minimum"] == 0
    assert spec["activeDeadlineSeconds"]["minimum"] == 1
    assert spec["ttlSecondsAfterFinished"]["minimum"] == 0
    assert SCHEMA["properties"]["spec"]["required"] == ["entrypoint"]
    assert SCHEMA["properties"]["status"]["properties"]["phase"]["enum"] == list(PHASES)


def test_status_is_a_subresource_and_nothing_is_scaled():
    assert VERSION["subresources"] == {"status": {}}


@pytest.mark.parametrize(("path", "field"), [one for one in fields(SCHEMA) if "x-kubernetes-validations" in one[1]])
def test_every_rule_says_what_it_wants(path, field):
    for rule in field["x-kubernetes-validations"]:
        assert len(rule["message"]) > 20, path
