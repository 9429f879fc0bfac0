"""The built cluster as a whole: up, images in, and its parts by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from urllib3.exceptions import HTTPError

from tests.cluster.api import ApiException
from tests.cluster.cluster import Capability, Cluster
from tests.cluster.images import Image, python_image
from tests.harness.cache import Say

from . import network, storage
from .binaries import KUBERNETES_VERSION, binaries
from .certificates import Authority
from .containerd import unpacked
from .control_plane import ControlPlane
from .enclosure import Enclosure, open_enclosure, open_lasting_enclosure
from .node import BuiltNode
from .part import Part
from .prerequisites import check

__all__ = ["BuiltCluster", "build", "built_cluster", "lasting_cluster"]

_NODES = {f"node-{number}": network.node_network(number) for number in (1, 2)}
_UP = 60.0  # seconds until it must be up


class BuiltCluster(Cluster):
    """A cluster of processes in `enclosure`."""

    title = f"Kubernetes {KUBERNETES_VERSION} built from Go modules"
    capabilities = frozenset(Capability) - {Capability.NODE_POWER}

    def __init__(self, enclosure: Enclosure, binaries: Path, image: Image) -> None:
        self.image = image.name
        self.kubectl = str(binaries / "kubectl")
        self.enclosure = enclosure
        (enclosure.folder / "logs").mkdir()
        server = network.lay(enclosure, _NODES)
        authority = Authority(enclosure.folder / "certificates")
        self._control_plane = ControlPlane(enclosure, binaries, authority, server)
        self._nodes = {
            name: BuiltNode(name, at, enclosure, binaries, authority, image.name) for name, at in _NODES.items()
        }
        self.kubeconfig = self._control_plane.kubeconfig

    def up(self, images: Path) -> None:
        """Start everything, with the images of an archive of `unpacked`, and wait until both nodes are ready.

        Raises:
            RuntimeError: a part has ended, or it is not up after a minute; the message says which and why.
        """
        etcd, api_server, *others = self._control_plane.parts
        with ThreadPoolExecutor() as pool:
            containerds = pool.submit(self._start_containerds, images)
            etcd.start()
            api_server.start()
            self._until(self._answers, "the API server answers")
            for part in others:
                part.start()
            containerds.result()
            for node in self._nodes.values():
                node.kubelet.start()
                node.proxy.start()
            storage.provide(self.api, self._volumes())
            self._until(self._ready, "both nodes are ready")

    def reclaim_volumes(self) -> None:
        storage.reclaim(self.api, self._volumes())

    def load(self, image: Image) -> None:
        for node in self._nodes.values():
            node.containerd.load(image.archive)

    def run_on(self, node: str, *arguments: str) -> str:
        return self._nodes[node].run(*arguments)

    def ctr(self, node: str, *arguments: str) -> str:
        return self._nodes[node].containerd.ctr(*arguments)

    def part(self, name: str, node: str | None = None) -> Part:
        parts = self._nodes[node].parts if node else self._control_plane.parts
        return next(part for part in parts if part.name == (f"{name} of {node}" if node else name))

    def audit_log(self) -> Path:
        return self._control_plane.audit_log

    @contextmanager
    def cut_off(self, node: str) -> Iterator[None]:
        network.cut(self.enclosure, node)
        try:
            yield
        finally:
            network.reconnect(self.enclosure, node)

    def close(self) -> None:
        """Let go of what this process holds of it; the enclosure ends it."""
        self.api.close()
        for part in self._parts():
            part.reap()

    def _start_containerds(self, images: Path) -> None:
        first, *others = [node.containerd for node in self._nodes.values()]
        first.take(images)
        for other in others:
            other.take_over(first)  # unpacking is most of a start, and once is enough
        for containerd in (first, *others):
            containerd.part.start()
        for containerd in (first, *others):
            containerd.wait()

    def _volumes(self) -> dict[str, Path]:
        return {name: node.volumes for name, node in self._nodes.items()}

    def _parts(self) -> list[Part]:
        return [*self._control_plane.parts, *(part for node in self._nodes.values() for part in node.parts)]

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        ends = time.monotonic() + _UP
        while True:
            with suppress(ApiException, HTTPError):
                if holds():
                    return
            started = [part for part in self._parts() if part.started]
            for part in started:
                if not part.running:
                    raise RuntimeError(f"{part.name} has ended; its last words:\n{part.last_words()}")
            if time.monotonic() > ends:
                said = "\n".join(f"{part.name}:\n{part.last_words()}" for part in started)
                raise RuntimeError(f"not within {_UP:g} s: {what}; the last words of its parts:\n{said}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        return self.api.text("/readyz") == "ok"

    def _ready(self) -> bool:
        nodes = self.api.get("/api/v1/nodes")["items"]
        conditions = [condition for node in nodes for condition in node["status"].get("conditions", [])]
        ready = [condition for condition in conditions if (condition["type"], condition["status"]) == ("Ready", "True")]
        # Until it is there, no pod can be made.
        accounts = self.api.get("/api/v1/namespaces/default/serviceaccounts")["items"]
        return len(ready) == len(_NODES) and bool(accounts)


def build(say: Say) -> tuple[Path, Image, Path]:
    """The programs, the image and its unpacked archive, from the cache, or built now.

    Raises:
        Lacking: this machine cannot have such a cluster; the message says why.
    """
    check()
    programs = binaries(say)
    image = python_image(say)
    return programs, image, unpacked(image, say)


@contextmanager
def built_cluster(say: Say) -> Iterator[BuiltCluster]:
    """A cluster until the block or this process ends; errors as `build` and `BuiltCluster.up`."""
    programs, image, images = build(say)
    with open_enclosure(token_hex(3), list(_NODES)) as enclosure:
        cluster = BuiltCluster(enclosure, programs, image)
        try:
            cluster.up(images)
            yield cluster
        finally:
            enclosure.end()
            cluster.close()


def lasting_cluster(name: str, say: Say) -> BuiltCluster:
    """A cluster that outlives this process, until its enclosure is told to end; errors as `built_cluster`."""
    programs, image, images = build(say)
    enclosure = open_lasting_enclosure(name, list(_NODES))
    try:
        cluster = BuiltCluster(enclosure, programs, image)
        cluster.up(images)
    except BaseException:
        enclosure.end()
        raise
    return cluster
