"""Generates crds/perdure.io_workflows.yaml from the models: `python -m perdure_operator.api.crd` writes it."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

from .models import WorkflowObject
from .names import GROUP, KIND, PLURAL, RELEASE_ANNOTATION, VERSION
from .schema import OPAQUE

__all__ = ["crd", "main", "rendered"]

_FILE: Final = Path(__file__).resolve().parents[3] / "crds" / f"{GROUP}_{PLURAL}.yaml"

_HEADER: Final = "# Made from the models by: python -m perdure_operator.api.crd\n"

_COLUMNS: Final = (
    ("Phase", "string", ".status.phase", "How the run stands", 0),
    ("Steps", "integer", ".status.steps.completed", "Steps whose outcome is stored", 0),
    ("Attempts", "integer", ".status.attempts", "Attempts so far", 0),
    ("Age", "date", ".metadata.creationTimestamp", "", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Finished")].reason', "Why it stands so", 1),
    ("Message", "string", '.status.conditions[?(@.type=="Finished")].message', "Why it stands so, in words", 1),
)

_SELECTABLE: Final = (".spec.entrypoint", ".spec.suspend", ".status.phase")

_ORDER: Final = ("description", "type", "format", "nullable", "default", "enum", "required", "properties", "items")
"""The order of keys for readers; other keys follow."""

_DROPPED: Final = frozenset({"pattern", "title"})
"""Keys that are left out: pydantic's own, and patterns, for which there are rules with readable messages."""


class _Plain(yaml.SafeDumper):
    """Writes repeated values in full: not every reader of manifests supports references."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the loader's signature
        return True


def crd() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    served = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root_schema()},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
        "selectableFields": [{"jsonPath": path} for path in _SELECTABLE],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "annotations": {RELEASE_ANNOTATION: version("perdure")}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": PLURAL,
                "singular": KIND.lower(),
                "kind": KIND,
                "listKind": f"{KIND}List",
                "shortNames": ["dwf"],
                "categories": ["all", "perdure"],
            },
            "versions": [served],
        },
    }


def rendered() -> str:
    """The file's text."""
    return _HEADER + yaml.dump(crd(), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


def main(arguments: list[str] | None = None) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description="Write the CustomResourceDefinition of Workflows.")
    parser.add_argument("file", nargs="?", type=Path, default=_FILE, help="where to (default: %(default)s)")
    file: Path = parser.parse_args(arguments).file
    file.write_text(rendered(), encoding="utf-8")


def _column(name: str, type: str, path: str, description: str, priority: int) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": type, "jsonPath": path}
    return column | ({"description": description} if description else {}) | ({"priority": priority} if priority else {})


def _root_schema() -> dict[str, Any]:
    schema = WorkflowObject.model_json_schema(by_alias=True)
    root = _structural(schema, schema.pop("$defs"))
    standard = {
        "apiVersion": {"type": "string", "description": "Version of the API."},
        "kind": {"type": "string", "description": f"`{KIND}`."},
        "metadata": {"type": "object"},
    }
    root["properties"] = standard | root["properties"]
    return root


def _structural(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema of pydantic in the form of Kubernetes: without references, unions with null, and titles."""
    schema = dict(schema)
    if reference := schema.pop("$ref", None):
        schema = definitions[reference.rpartition("/")[2]] | schema
    if alternatives := schema.pop("anyOf", None):
        (one,) = (alternative for alternative in alternatives if alternative.get("type") != "null")
        return _structural(one | schema, definitions)
    made = {key: value for key, value in schema.items() if key not in _DROPPED and (key, value) != ("default", None)}
    if properties := made.get("properties"):
        made["properties"] = {name: _structural(one, definitions) for name, one in properties.items()}
    if items := made.get("items"):
        made["items"] = _structural(items, definitions)
    # For models this key means whether they are closed; for maps it is the schema of the values.
    held = made.pop("additionalProperties", False)
    if isinstance(held, dict):
        made["additionalProperties"] = _structural(held, definitions)
    elif held and not properties:
        made["additionalProperties"] = {**OPAQUE, "nullable": True}
    return dict(sorted(made.items(), key=lambda item: _ORDER.index(item[0]) if item[0] in _ORDER else len(_ORDER)))


if __name__ == "__main__":
    main()
