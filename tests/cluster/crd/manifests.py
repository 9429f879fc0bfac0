"""Workflows for these tests, made and changed; all of them rest."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Any

import pytest

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


def refusal(error: pytest.ExceptionInfo[ApiException]) -> str:
    return str(json.loads(error.value.body or "{}")["message"])
