"""CustomResourceDefinitions, installed: a kind is there once the API server serves it, a moment after it says so."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.harness.eventually import eventually

from .api import Api, ApiException, Json

__all__ = ["crd_path", "install_crd", "until_served", "workflow_crd"]

_FILE = Path(__file__).resolve().parents[2] / "crds" / "perdure.io_workflows.yaml"
_PATIENCE = 30.0  # seconds


def workflow_crd() -> Json:
    """The kind Workflow, as people install it."""
    definition: Json = yaml.safe_load(_FILE.read_text())
    return definition


def crd_path(definition: Json) -> str:
    """Where the API server keeps a definition."""
    return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"


def install_crd(api: Api, definition: Json) -> None:
    """Create a kind, or bring it up to date, and wait until the API server serves it.

    Where it was served by another schema before, it may be for a moment more.
    """
    path = crd_path(definition)
    api.apply(path, definition)
    eventually(lambda: _established(api, path), _PATIENCE)
    until_served(api, definition)


def until_served(api: Api, definition: Json) -> None:
    """Wait until the objects of a kind can be listed."""
    eventually(lambda: _served(api, definition["spec"]), _PATIENCE)


def _established(api: Api, path: str) -> bool:
    conditions = api.get(path)["status"].get("conditions") or []
    states = {condition["type"]: condition["status"] for condition in conditions}
    assert states.get("NonStructuralSchema") != "True", conditions
    return states.get("Established") == "True"


def _served(api: Api, spec: Json) -> bool:
    try:
        api.get(f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}")
    except ApiException as error:
        if error.status in {404, 429}:  # not yet known; its storage is still to be read after a change of its schema
            return False
        raise
    return True
