"""Accounts of a release on a real API server, and what it takes to be one of them."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

import yaml

from tests.cluster.api import Api
from tests.integration.operator.api_server import ApiServer

__all__ = ["new_namespace", "token", "token_kubeconfig"]


def new_namespace(api: Api) -> str:
    """A namespace that nobody deletes."""
    name = f"chart-{token_hex(4)}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


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
