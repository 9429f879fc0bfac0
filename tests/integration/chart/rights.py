"""Accounts of a release on a real API server, and what it takes to be one of them."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import yaml

from tests.cluster.api import Api
from tests.cluster.helm import CHART
from tests.integration.operator.api_server import ApiServer

__all__ = ["Chores", "new_namespace", "token", "token_kubeconfig"]


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


class Chores:
    """Runs chores as accounts of a release in a namespace, with what their containers have in a folder."""

    def __init__(self, server: ApiServer, namespace: str, folder: Path) -> None:
        self._server = server
        self._namespace = namespace
        self._folder = folder

    def __call__(self, name: str, account: str, **told: str) -> subprocess.CompletedProcess[str]:
        """Run one to its end; what it printed."""
        with self.start(name, account, **told) as process:
            printed, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, printed, errors)

    def start(self, name: str, account: str, **told: str) -> subprocess.Popen[str]:
        """Start one."""
        kubeconfig = yaml.safe_load(self._server.kubeconfig.read_text())
        cluster = kubeconfig["clusters"][0]["cluster"]
        files = {
            "token": token(self._server.api, self._namespace, account),
            "ca.crt": base64.b64decode(cluster["certificate-authority-data"]).decode(),
            "namespace": self._namespace,
        }
        for file, text in files.items():
            (self._folder / file).write_text(text)
        address = urlsplit(cluster["server"])
        env = {
            "ACCOUNT": str(self._folder),
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
            **told,
        }
        command = [sys.executable, str(CHART / "files" / "chores.py"), name]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
