"""A control plane without nodes: etcd, an API server, Postgres and operators, as processes of this machine.

Everybody comes to the API server with a service account's token, as a pod does. What each process costs is read from
it, what the store was asked from its own counters.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import psutil
import yaml

from benchmarks.cluster.ground import ClusterGround
from perdure.store.schema.migrate import migrate
from tests.cluster.api import Json
from tests.harness.databases import Databases
from tests.harness.postgres import Servers
from tests.harness.processes import Child, Children
from tests.integration.operator.api_server import ApiServer
from tests.integration.operator.operators import Operator

__all__ = ["NAMESPACE", "WORKFLOWS", "Nodeless"]

NAMESPACE = "bench"
WORKFLOWS = f"/apis/perdure.io/v1alpha1/namespaces/{NAMESPACE}/workflows"

_ROOT = Path(__file__).parents[2]
_ACCOUNTS = "/api/v1/namespaces/kube-system/serviceaccounts"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_ACCOUNT = "bench"
_TOKEN_SECONDS = 4 * 3600


class Nodeless:
    """All of it but the operator, fresh; a context manager that ends it.

    Attributes:
        api: for whoever looks on.
        server: Postgres, which flushes nothing to disk.
        database: the store.
        kubeconfig: with the token.
    """

    def __init__(self, ground: ClusterGround) -> None:
        self._servers = Servers(ground.workspace)
        self._children = Children(ground.workspace)
        self._api_server = ApiServer(ground.workspace)
        self.api = self._api_server.api
        self.server = self._servers.embedded(parameters={"fsync": "off"})
        self.database = Databases(self.server, migrate).new()
        self.kubeconfig = self._with_token()
        self.api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self._processes = {**self._api_server.pids, "postgres": self.server.pid}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._children.close()
        self._api_server.close()
        self._servers.close()

    def operator(self, **options: str) -> Operator:
        """Start an operator as it is by default, but for its one namespace."""
        settings = {"lease_seconds": "10", **options}
        operator = Operator(self._children, self.kubeconfig, self.database.url, NAMESPACE, settings)
        self._processes["operator"] = operator.child.pid
        return operator

    def stand_in_kubelet(self, *, hold: bool = False) -> Child:
        """Start the pods' part; it watches when this returns. `hold`: their runs do not end."""
        more = ["hold"] if hold else []
        child = self._start("stand_in_kubelet", str(self.kubeconfig), self.database.url, NAMESPACE, *more)
        self._processes["stand-in"] = child.pid
        child.wait_for_output("watching", 30)
        return child

    def client(self, what: str, count: int, at_a_time: int, *more: str) -> Child:
        """Start a client that writes."""
        child = self._start("plain_client", what, str(self.kubeconfig), NAMESPACE, str(count), str(at_a_time), *more)
        self._processes["client"] = child.pid
        return child

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time that each has taken so far, with its children."""
        return {name: _cpu(psutil.Process(pid)) for name, pid in self._processes.items() if psutil.pid_exists(pid)}

    def resident(self, process: str) -> float:
        """Megabytes of memory that a process has now."""
        return psutil.Process(self._processes[process]).memory_info().rss / 1e6

    def list(self, plural: str, **query: str) -> list[Json]:
        """Objects of the namespace."""
        path = WORKFLOWS if plural == "workflows" else f"/api/v1/namespaces/{NAMESPACE}/{plural}"
        found: list[Json] = self.api.get(path, **query)["items"]
        return found

    def _start(self, module: str, *arguments: str) -> Child:
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        return self._children.module(f"benchmarks.cluster.{module}", *arguments, env={"PYTHONPATH": path})

    def _with_token(self) -> Path:
        """The administrator's kubeconfig, with a token in the place of his certificate."""
        self.api.create(_ACCOUNTS, {"metadata": {"name": _ACCOUNT}})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        subject = {"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": "kube-system"}
        self.api.create(_BINDINGS, {"metadata": {"name": _ACCOUNT}, "roleRef": role, "subjects": [subject]})
        asked = {"spec": {"expirationSeconds": _TOKEN_SECONDS}}
        token = self.api.create(f"{_ACCOUNTS}/{_ACCOUNT}/token", asked)["status"]["token"]
        config = yaml.safe_load(self._api_server.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": token}
        path = self._api_server.folder / "token.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path


def _cpu(process: psutil.Process) -> float:
    taken = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        taken += times.user + times.system + times.children_user + times.children_system
    return taken
