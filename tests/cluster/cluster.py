"""What a test may count on, whichever cluster serves it."""

from __future__ import annotations

import abc
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Protocol

from .api import TIMEOUT, Api
from .images import Image

__all__ = ["Capability", "Cluster", "Part"]

_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


class Capability(StrEnum):
    """What not every cluster can do; a test asks for it by `@pytest.mark.capability(...)`."""

    NODE_COMMANDS = "commands on its nodes"
    NODE_PARTS = "killing and pausing a kubelet or containerd"
    NODE_POWER = "killing, pausing and starting whole nodes"
    PARTITION = "cutting a node off"
    CONTROL_PLANE = "killing and pausing API server, etcd, controller manager and scheduler"
    AUDIT = "what the API server was asked"


class Part(Protocol):
    """A process of the cluster itself."""

    @property
    def running(self) -> bool:
        """Whether it is there, be it paused."""

    def start(self) -> None:
        """Start it."""

    def kill(self) -> None:
        """End it by SIGKILL; it stays away until it is started."""

    def restart(self) -> None:
        """Kill it and start it again at once."""

    def paused(self) -> AbstractContextManager[None]:
        """Hold it by SIGSTOP for a block: alive, and answering nothing."""


class Cluster(abc.ABC):
    """A Kubernetes cluster with at least two nodes that run pods, all of which have `image`."""

    title: str
    """What it is, for people."""
    kubeconfig: Path
    """Of an administrator."""
    image: str
    """The name of an image with Python, sleep and a shell."""
    capabilities: frozenset[Capability] = frozenset()
    kubectl: str = "kubectl"
    """The program."""

    @cached_property
    def api(self) -> Api:
        """An administrator's client."""
        return self.another_api()

    def another_api(self, timeout: float = TIMEOUT) -> Api:
        """An administrator's client that shares nothing with others."""
        return Api(self.kubeconfig, timeout)

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes that run pods, in order."""
        nodes = [node["metadata"] for node in self.api.get("/api/v1/nodes")["items"]]
        return sorted(node["name"] for node in nodes if _CONTROL_PLANE not in node["labels"])

    @property
    def control_plane_node(self) -> str:
        """The name of the node of the control plane, where that is one."""
        [node] = self.api.get("/api/v1/nodes", labelSelector=_CONTROL_PLANE)["items"]
        return str(node["metadata"]["name"])

    def reclaim_volumes(self) -> None:  # noqa: B027 - most clusters see to it themselves
        """Make volumes whose claims are gone available again, where nothing else does."""

    @abc.abstractmethod
    def load(self, image: Image) -> None:
        """Bring an image to every node."""

    def run_on(self, node: str, *arguments: str) -> str:
        """Run a command on a node as root and return what it printed. Needs `NODE_COMMANDS`.

        Raises:
            RuntimeError: it failed; the message holds what it printed.
        """
        raise self._lacking(Capability.NODE_COMMANDS)

    def ctr(self, node: str, *arguments: str) -> str:
        """Run `ctr`, the client of a node's containerd, on what Kubernetes runs there. Needs `NODE_COMMANDS`."""
        raise self._lacking(Capability.NODE_COMMANDS)

    def part(self, name: str, node: str | None = None) -> Part:
        """A part of a node (`kubelet`, `containerd`), or of the control plane (`kube-apiserver`, `etcd`, ...).

        Needs `NODE_PARTS` or `CONTROL_PLANE`.
        """
        raise self._lacking(Capability.NODE_PARTS if node else Capability.CONTROL_PLANE)

    def machine(self, node: str) -> Part:
        """A whole node, as a machine of which the power fails. Needs `NODE_POWER`."""
        raise self._lacking(Capability.NODE_POWER)

    def audit_log(self) -> Path:
        """What the API server notes of what accounts ask, as `AuditLog` reads it. Needs `AUDIT`."""
        raise self._lacking(Capability.AUDIT)

    def cut_off(self, node: str) -> AbstractContextManager[None]:
        """Cut a node off from everything for a block; what runs on it runs on. Needs `PARTITION`."""
        raise self._lacking(Capability.PARTITION)

    def _lacking(self, capability: Capability) -> NotImplementedError:
        mark = f"@pytest.mark.capability(Capability.{capability.name})"
        return NotImplementedError(f"{self.title} does not offer {capability}: a test that needs it has {mark}")
