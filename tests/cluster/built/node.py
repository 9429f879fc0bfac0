"""A node of the built cluster: a network namespace in which containerd, a kubelet and kube-proxy run."""

from __future__ import annotations

import json
from pathlib import Path

from . import network
from .certificates import Authority
from .containerd import Containerd
from .control_plane import API_SERVER_URL
from .enclosure import Enclosure
from .part import Part

__all__ = ["BuiltNode"]


class BuiltNode:
    """One node: its parts, and commands on it."""

    def __init__(
        self,
        name: str,
        at: network.NodeNetwork,
        enclosure: Enclosure,
        binaries: Path,
        authority: Authority,
        sandbox_image: str,
    ) -> None:
        self.name = name
        self.enclosure = enclosure
        self.volumes = enclosure.folder / name / "volumes"
        self._at = at
        self._folder = enclosure.folder / name
        self._binaries = binaries
        self._authority = authority
        self._folder.mkdir()
        self.containerd = Containerd(enclosure, self._folder, sandbox_image, at.pod_range, name)
        self.kubelet = self._part("kubelet", self._kubelet())
        self.proxy = self._part("kube-proxy", self._proxy())

    @property
    def parts(self) -> list[Part]:
        """All of them, in the order in which they start."""
        return [self.containerd.part, self.kubelet, self.proxy]

    def run(self, *arguments: str) -> str:
        """Run a command on the node and return what it printed; errors as `Enclosure.run`."""
        return self.enclosure.run(*arguments, network=self.name)

    def _part(self, name: str, command: list[str]) -> Part:
        log = self.enclosure.folder / "logs" / f"{self.name}-{name}.log"
        return Part(f"{name} of {self.name}", self.enclosure, command, log, network=self.name)

    def _kubelet(self) -> list[str]:
        settings = self._write("kubelet.yaml", {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.enclosure.cgroup}/{self.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDomain": "cluster.local",
            "clusterDNS": [network.CONTROL_PLANE],
            "resolvConf": "",
            "podLogsDir": str(self._folder / "logs"),
            "volumePluginDir": str(self._folder / "plugins"),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self._authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "serializeImagePulls": False,
            # The machine's disk is its owner's business.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "maxPods": 200,
        })  # fmt: skip
        kubeconfig = self._client("kubelet", f"system:node:{self.name}", "system:nodes")
        return [
            str(self._binaries / "kubelet"),
            f"--config={settings}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self._folder / 'kubelet'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self._at.address}",
        ]

    def _proxy(self) -> list[str]:
        settings = self._write("proxy.yaml", {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self._client("proxy", "system:kube-proxy"))},
            "mode": "iptables",
            "clusterCIDR": network.POD_RANGE,
            "hostnameOverride": self.name,
            # The machine's connection table is not the cluster's to size.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
                "udpTimeout": "0s",
                "udpStreamTimeout": "0s",
            },
        })  # fmt: skip
        return [str(self._binaries / "kube-proxy"), f"--config={settings}"]

    def _client(self, part: str, user: str, group: str | None = None) -> Path:
        name = f"{self.name}-{part}"
        return self._authority.kubeconfig(name, API_SERVER_URL, *self._authority.client(name, user, group))

    def _write(self, name: str, content: object) -> Path:
        path = self._folder / name
        path.write_text(json.dumps(content, indent=2))  # which is YAML, too
        return path
