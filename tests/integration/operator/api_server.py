"""A real API server on its etcd and nothing else: no node, no controller; a test plays those where it needs them.

It takes no tokens: whoever comes with the administrator's certificate may do everything.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from urllib3.exceptions import HTTPError

from tests.cluster.api import Api, ApiException
from tests.cluster.built.binaries import binaries
from tests.cluster.built.certificates import Authority
from tests.cluster.crds import install_crd, workflow_crd
from tests.harness.eventually import eventually
from tests.harness.workspace import Workspace

_STARTS = 60.0  # seconds


class ApiServer:
    """Both processes; they end with the workspace, if not before."""

    def __init__(self, workspace: Workspace) -> None:
        self._programs = binaries(print)
        self._workspace = workspace
        self.folder = workspace.new_folder("api-server")
        self._ports = _free_ports(3)
        authority = Authority(self.folder / "certificates")
        self._serving = authority.server("api-server", ["127.0.0.1", "localhost"])
        self._authority = authority.certificate
        self._tokens = authority.token_keys()
        admin = authority.client("admin", "kubernetes-admin", "system:masters")
        self.kubeconfig = authority.kubeconfig("admin", f"https://127.0.0.1:{self._ports[2]}", *admin)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.start()
        self.api = Api(self.kubeconfig)
        eventually(self._ready, deadline=_STARTS, every=0.1)
        install_crd(self.api, workflow_crd())

    @property
    def pids(self) -> dict[str, int]:
        """The processes, by the names of their programs."""
        return {name: process.pid for name, process in self._processes.items()}

    def start(self) -> None:
        """Start both."""
        self._start("etcd", self._etcd())
        self._start("kube-apiserver", self._api_server())

    def kill(self) -> None:
        """End both by SIGKILL; what is stored stays."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def back_up(self) -> Path:
        """A copy of all that is stored; it is away meanwhile."""
        backup = self.folder / f"backup-{time.monotonic_ns()}"
        self.kill()
        shutil.copytree(self._stored, backup)
        self.start()
        self.until_ready()
        return backup

    def restore(self, backup: Path) -> None:
        """Have what was stored then, and nothing that came later."""
        self.kill()
        shutil.rmtree(self._stored)
        shutil.copytree(backup, self._stored)
        self.start()
        self.until_ready()

    def pause(self) -> None:
        """Hold the API server by SIGSTOP: it takes connections and answers nothing."""
        self._processes["kube-apiserver"].send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._processes["kube-apiserver"].send_signal(signal.SIGCONT)

    def until_ready(self) -> None:
        """Wait until it answers."""
        eventually(self._ready, deadline=_STARTS, every=0.1)

    def close(self) -> None:
        self.api.close()
        self.kill()

    def _start(self, name: str, options: dict[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(self._programs / name), *(f"--{option}={value}" for option, value in options.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._workspace.environment(),
                cwd=self.folder,
            )

    @property
    def _stored(self) -> Path:
        return self.folder / "etcd"

    def _etcd(self) -> dict[str, str]:
        clients = f"http://127.0.0.1:{self._ports[0]}"
        return {
            "data-dir": str(self._stored),
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": f"http://127.0.0.1:{self._ports[1]}",
            "unsafe-no-fsync": "true",
        }

    def _api_server(self) -> dict[str, str]:
        certificate, key = self._serving
        public, private = self._tokens
        return {
            "etcd-servers": f"http://127.0.0.1:{self._ports[0]}",
            "bind-address": "127.0.0.1",
            "secure-port": str(self._ports[2]),
            "tls-cert-file": str(certificate),
            "tls-private-key-file": str(key),
            "client-ca-file": str(self._authority),
            "authorization-mode": "RBAC",
            # A controller makes the accounts that it asks for.
            "disable-admission-plugins": "ServiceAccount",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(public),
            "service-account-signing-key-file": str(private),
            "service-cluster-ip-range": "10.222.0.0/16",
        }

    def _ready(self) -> bool:
        with suppress(ApiException, HTTPError):
            return self.api.text("/readyz") == "ok"
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
