"""The control plane of the built cluster: etcd, API server, controller manager, scheduler, and CoreDNS.

It runs in the enclosure's own network namespace, beside the bridge to which the nodes are joined.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.audit import POLICY

from . import network
from .certificates import Authority
from .enclosure import Enclosure
from .part import Part

__all__ = ["API_SERVER_URL", "ControlPlane"]

API_SERVER_URL = f"https://{network.CONTROL_PLANE}:6443"
_SERVICES_FIRST = network.SERVICE_RANGE.replace("0.0/16", "0.1")  # of the service `kubernetes`
_NAMES = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
]

# As nothing leads out, of all other names (`.`) there are none; refused, they would look like a trouble that passes.
_COREFILE = """\
.:53 {{
    bind {address}
    errors
    ready {address}:8181
    cache 5
    kubernetes cluster.local in-addr.arpa . {{
        kubeconfig {kubeconfig}
        pods insecure
    }}
}}
"""


class ControlPlane:
    """Its parts in the order in which they start; `server` is the address at which the machine reaches it."""

    def __init__(self, enclosure: Enclosure, binaries: Path, authority: Authority, server: str) -> None:
        self._enclosure = enclosure
        self._binaries = binaries
        self._authority = authority
        admin = authority.client("admin", "kubernetes-admin", "system:masters")
        self.kubeconfig = authority.kubeconfig("admin", f"https://{server}:6443", *admin)
        self._inner_kubeconfig = authority.kubeconfig("coredns", API_SERVER_URL, *admin)
        self._kubelet_client = admin
        self._serving = authority.server(
            "api-server", [network.CONTROL_PLANE, server, "127.0.0.1", _SERVICES_FIRST, *_NAMES]
        )
        self._token_keys = authority.token_keys()
        self.audit_log = enclosure.folder / "logs" / "audit.log"
        self.etcd = self._part("etcd", self._etcd())
        self.api_server = self._part("kube-apiserver", self._api_server())
        self.controller_manager = self._part("kube-controller-manager", self._controller_manager())
        self.scheduler = self._part("kube-scheduler", self._scheduler())
        self.dns = self._part("coredns", self._coredns())

    @property
    def parts(self) -> list[Part]:
        """All of them, in the order in which they start."""
        return [self.etcd, self.api_server, self.controller_manager, self.scheduler, self.dns]

    def _part(self, name: str, options: dict[str, str]) -> Part:
        dash = "-" if name == "coredns" else "--"
        command = [str(self._binaries / name), *(f"{dash}{option}={value}" for option, value in options.items())]
        return Part(name, self._enclosure, command, self._enclosure.folder / "logs" / f"{name}.log")

    def _etcd(self) -> dict[str, str]:
        here = "http://127.0.0.1:2379"
        return {
            "data-dir": str(self._enclosure.folder / "etcd"),
            "listen-client-urls": here,
            "advertise-client-urls": here,
            "listen-peer-urls": "http://127.0.0.1:2380",
            "unsafe-no-fsync": "true",  # it must outlive its process, not the machine
        }

    def _api_server(self) -> dict[str, str]:
        certificate, key = self._serving
        client_certificate, client_key = self._kubelet_client
        public, private = self._token_keys
        policy = self._enclosure.folder / "audit-policy.yaml"
        policy.write_text(json.dumps(POLICY))  # which is YAML, too
        return {
            "etcd-servers": "http://127.0.0.1:2379",
            "advertise-address": network.CONTROL_PLANE,
            "service-cluster-ip-range": network.SERVICE_RANGE,
            "tls-cert-file": str(certificate),
            "tls-private-key-file": str(key),
            "client-ca-file": str(self._authority.certificate),
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": str(public),
            "service-account-signing-key-file": str(private),
            "kubelet-client-certificate": str(client_certificate),
            "kubelet-client-key": str(client_key),
            # By name, logs and exec would ask a DNS server for the node.
            "kubelet-preferred-address-types": "InternalIP",
            "allow-privileged": "true",
            "audit-policy-file": str(policy),
            "audit-log-path": str(self.audit_log),
            # A cluster that stays up for days keeps no more than two of these; in megabytes.
            "audit-log-maxsize": "200",
            "audit-log-maxbackup": "1",
        }

    def _controller_manager(self) -> dict[str, str]:
        return {
            "kubeconfig": str(self._client("controller-manager", "system:kube-controller-manager")),
            "service-account-private-key-file": str(self._token_keys[1]),
            "root-ca-file": str(self._authority.certificate),
            "use-service-account-credentials": "true",
            "leader-elect": "false",
        }

    def _scheduler(self) -> dict[str, str]:
        return {"kubeconfig": str(self._client("scheduler", "system:kube-scheduler")), "leader-elect": "false"}

    def _coredns(self) -> dict[str, str]:
        corefile = self._enclosure.folder / "Corefile"
        corefile.write_text(_COREFILE.format(address=network.CONTROL_PLANE, kubeconfig=self._inner_kubeconfig))
        return {"conf": str(corefile)}

    def _client(self, name: str, user: str) -> Path:
        return self._authority.kubeconfig(name, API_SERVER_URL, *self._authority.client(name, user))
