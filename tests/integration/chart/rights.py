"""Accounts and roles of a release on a real API server, and what it takes to be one of them."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml

from tests.cluster.api import Api
from tests.cluster.helm import Helm
from tests.integration.operator.api_server import ApiServer

__all__ = ["give_rights", "new_namespace", "token", "token_kubeconfig"]

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}",
    "Role": _RBAC + "/namespaces/{namespace}/roles/{name}",
    "RoleBinding": _RBAC + "/namespaces/{namespace}/rolebindings/{name}",
    "ClusterRole": _RBAC + "/clusterroles/{name}",
    "ClusterRoleBinding": _RBAC + "/clusterrolebindings/{name}",
}


def new_namespace(api: Api) -> str:
    """A namespace that nobody deletes."""
    name = f"chart-{token_hex(4)}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def give_rights(helm: Helm, api: Api, namespace: str, values: dict[str, Any]) -> None:
    """What of a release in a namespace says who may do what, and the Lease."""
    for body in helm.objects(values, "--skip-tests", namespace=namespace):
        if path := _PATHS.get(body["kind"]):
            api.apply(path.format(**{"namespace": None, **body["metadata"]}), body)


def token(api: Api, namespace: str, account: str) -> str:
    """A token of an account's, as a kubelet asks for it."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return str(api.create(path, {"spec": {}})["status"]["token"])


def token_kubeconfig(server: ApiServer, namespace: str, account: str, file: Path) -> Path:
    """A kubeconfig by which one is an account and nobody else."""
    kubeconfig = yaml.safe_load(server.kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {"token": token(server.api, namespace, account)}
    file.write_text(yaml.safe_dump(kubeconfig))
    return file
