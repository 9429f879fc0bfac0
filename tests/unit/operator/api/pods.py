"""Pods of attempts, made of manifests and settings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from perdure.names import Claim
from perdure_operator.api.database_tls import DatabaseTls
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.pod import PodSettings, build_pod
from perdure_operator.decide.actions import CreatePod
from tests.unit.operator.api.manifests import workflow

CLAIM = Claim(UUID("11111111-2222-4333-8444-555555555555"))
URL = "postgresql://store/perdure"
SETTINGS = PodSettings(database=URL, runtime_image="perdure:1")
TLS = DatabaseTls(mode="verify-full", ca_config_map="authorities", ca_key="store.pem", client_secret="login")
WITH_TLS = PodSettings(database=URL, tls=TLS, runtime_image="perdure:1")


def pod(template: Any = None, settings: PodSettings = SETTINGS, **spec: Any) -> dict[str, Any]:
    parsed = parse_workflow(workflow({**spec, "podTemplate": template} if template is not None else spec))
    assert parsed.problem is None
    return build_pod(parsed, CreatePod(2, CLAIM), settings)


def container(made: dict[str, Any], name: str = "workflow") -> dict[str, Any]:
    (found,) = (one for one in made["spec"]["containers"] if one["name"] == name)
    return found


def variables(made: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(made)["env"]}
