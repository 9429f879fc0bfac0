"""The schema of the chart's values is closed, knows every value, and the operator knows every setting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from perdure_operator.settings import Settings
from tests.unit.chart.settings import ELSEWHERE, WITHOUT
from tests.unit.chart.tree import CHART

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())

# Maps that others define: what a chart above this one says, and what Kubernetes checks itself.
OPEN = {"global", "ofKubernetes"}


def schemas(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema, with its name there."""
    if isinstance(schema, dict):
        yield name, schema
        for key, child in schema.items():
            if key in ("properties", "definitions"):
                for of, one in child.items():
                    yield from schemas(one, of)
            elif key != "enum":
                yield from schemas(child, name)
    elif isinstance(schema, list):
        for child in schema:
            yield from schemas(child, name)


def paths(values: Any, path: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{path}{name}"
        if isinstance(value, dict):
            yield from paths(value, f"{path}{name}.")


def test_every_object_is_closed_or_says_what_it_holds():
    objects = [(name, schema) for name, schema in schemas(SCHEMA) if schema.get("type") == "object"]
    assert len(objects) > 20
    opened = {name for name, schema in objects if schema.get("additionalProperties", True) is True}
    assert opened == OPEN
    assert all("description" in schema for name, schema in objects if name in OPEN)


def test_every_value_of_the_schema_has_a_default():
    def absent(schema: dict[str, Any], values: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, of in schema.get("properties", {}).items():
            if name not in values:
                yield f"{path}{name}"
            elif "properties" in of:
                yield from absent(of, values[name], f"{path}{name}.")

    assert list(absent(SCHEMA, VALUES)) == ["podSecurityContext.seccompProfile.localhostProfile"]


def test_every_setting_of_the_operator_can_be_set():
    def snake(name: str) -> str:
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)

    settings = {snake(name) for name in VALUES["operator"]["settings"]}
    ways = [*settings, *ELSEWHERE, *WITHOUT]
    assert len(ways) == len(set(ways))
    assert set(ways) == set(Settings.model_fields)
    assert set(ELSEWHERE.values()) <= set(paths(VALUES))


def test_nothing_secret_has_a_value():
    named = [path for path in paths(VALUES) if "password" in path.lower() or "token" in path.lower()]
    assert named == []
