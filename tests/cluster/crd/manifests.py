"""Workflows for these tests, made and changed; all of them rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest

from perdure_operator.api.crd import crd
from tests.cluster.api import ApiException, Json
from tests.cluster.cluster import Cluster

STRICT = "fieldValidation=Strict&dryRun=All"

LEAST: Json = {"entrypoint": "bank:transfer"}
INLINE: Json = {**LEAST, "source": {"inline": {"bank.py": "x = 1"}}}
CONFIG_MAP: Json = {**LEAST, "source": {"configMap": {"name": "code"}}}


def manifest(spec: Any, name: str = "refused") -> Json:
    return {"apiVersion": "perdure.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}


def created(cluster: Cluster, here: str, spec: Json) -> str:
    """The path of a new Workflow that stays at rest."""
    name = f"w-{token_hex(4)}"
    cluster.api.create(here, manifest({"suspend": True, **spec}, name))
    return f"{here}/{name}"


def change(cluster: Cluster, path: str, spec: Json) -> Json:
    patch: Any = [{"op": "replace", "path": "/spec", "value": spec}]
    return cluster.api.patch(path, patch, "application/json-patch+json", fieldValidation="Strict")


def rules(schema: Any) -> Iterator[dict[str, str]]:
    """The rules of a schema, and of all that is below it."""
    if isinstance(schema, dict):
        yield from schema.get("x-kubernetes-validations", ())
        for part in schema.values():
            yield from rules(part)


def sentence(problem: str) -> str:
    """Of a problem that is found without a server, what the server says word for word.

    That is all of it, but for a rule's field: there it says less closely which one, and then repeats its value.
    """
    messages = {rule["message"] for rule in rules(crd()["spec"]["versions"][0]["schema"])}
    return next((message for message in messages if problem.endswith(f": {message}")), problem)


def refusal(error: pytest.ExceptionInfo[ApiException]) -> str:
    return str(json.loads(error.value.body or "{}")["message"])
