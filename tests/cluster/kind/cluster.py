"""A fresh kind cluster of three nodes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, NoReturn

from tests.cluster import image_builders
from tests.cluster.built import prerequisites
from tests.cluster.built.binaries import KUBERNETES_VERSION, PARTS, binaries
from tests.cluster.cluster import Capability, Cluster, Part
from tests.cluster.images import Image, python_image
from tests.harness.cache import Say, home, locked
from tests.harness.eventually import eventually

from .engines import Enclosed, Engine, Installed, enclosed
from .node_image import node_image
from .nodes import Machine, Service, cut_off, lay_routes
from .programs import KIND_VERSION, NODE_IMAGE, programs

__all__ = ["KindCluster", "engine", "kind_cluster", "prepared", "some_engine", "some_kind_cluster", "write_settings"]

_PREFIX = "perdure-"
_LOCK = "kind-lock-"
_ROLES = ("control-plane", "worker", "worker")
_UP = 120.0  # seconds for which nodes and DNS may take to be ready, once kind has made them
_PULL = 300.0  # seconds


class KindCluster(Cluster):
    """A cluster whose nodes are containers of `engine`."""

    capabilities = frozenset(
        {Capability.NODE_COMMANDS, Capability.NODE_PARTS, Capability.NODE_POWER, Capability.PARTITION}
    )

    def __init__(self, title: str, name: str, engine: Engine, kubeconfig: Path) -> None:
        self.title = title
        self.kubeconfig = kubeconfig
        self.engine = engine
        self._name = name
        self._pods: Mapping[str, str] = {}

    def export_logs(self, into: Path) -> None:
        """Put the logs of its parts into a folder."""
        self.engine.run("kind", "export", "logs", str(into), f"--name={self._name}")

    def load(self, image: Image) -> None:
        self.engine.run("kind", "load", "image-archive", str(image.archive), f"--name={self._name}")

    def run_on(self, node: str, *arguments: str) -> str:
        return self.engine.run(self.engine.program, "exec", node, *arguments)

    def ctr(self, node: str, *arguments: str) -> str:
        return self.run_on(node, "ctr", "--namespace=k8s.io", *arguments)

    def part(self, name: str, node: str | None = None) -> Part:
        if node is None:
            raise self._lacking(Capability.CONTROL_PLANE)
        return Service(self.engine, node, name)

    def machine(self, node: str) -> Part:
        return Machine(self.engine, node, self._pods)

    def cut_off(self, node: str) -> AbstractContextManager[None]:
        return cut_off(self.engine, node)

    def create(self, settings: Path) -> None:
        """Have kind make it."""
        made = (f"--name={self._name}", f"--kubeconfig={self.kubeconfig}", f"--config={settings}")
        self.engine.run("kind", "create", "cluster", *made, "--wait=5m")

    def delete(self) -> None:
        """Have kind delete it."""
        made = (f"--name={self._name}", f"--kubeconfig={self.kubeconfig}")
        self.engine.run("kind", "delete", "cluster", *made)

    def connect(self) -> None:
        """Do what kindnet does: lay the routes between its nodes."""
        nodes = self.api.get("/api/v1/nodes")["items"]
        self._pods = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in nodes}
        lay_routes(self.engine, self._pods)

    def wait(self) -> None:
        """Wait until its nodes are ready, and names are resolved.

        Raises:
            AssertionError: not within two minutes.
        """
        eventually(self._ready, _UP, every=0.1)

    def _ready(self) -> bool:
        dns = self.api.get("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
        nodes = self.api.get("/api/v1/nodes")["items"]
        conditions = [condition for node in nodes for condition in node["status"].get("conditions", [])]
        ready = [condition for condition in conditions if (condition["type"], condition["status"]) == ("Ready", "True")]
        return len(ready) == len(_ROLES) and dns["status"].get("readyReplicas", 0) > 0


def engine() -> str | None:
    """The container engine that kind would use here; None without kind, too."""
    return image_builders.engine() if shutil.which("kind") else None


def prepared(say: Say) -> Installed | Image:
    """A Docker or Podman that can have kind's own node image, else a node image of ours, for Podman in an enclosure.

    Raises:
        Lacking: this machine can have neither; the message says what it lacks.
    """
    made = programs(say)
    official = (made / NODE_IMAGE).read_text()
    found = image_builders.engine()
    if found is not None and _has(found, official):
        return Installed(found, made)
    say(f"{found} cannot pull {official}" if found else "No Docker or Podman answers")
    prerequisites.check([PARTS / "debian-packages", PARTS / "kind" / "debian-packages"])
    binaries(say)
    return node_image(say)


@contextmanager
def some_engine(say: Say) -> Iterator[Engine]:
    """The engine of `prepared`; errors as there."""
    using = prepared(say)
    if isinstance(using, Installed):
        yield using
        return
    say(f"kind {KIND_VERSION} runs in an enclosure, with the node image {using.name}")
    made = programs(say)
    with enclosed([made, binaries(say)], made / "coredns", using) as engine:
        yield engine


@contextmanager
def kind_cluster(engine: Engine, say: Say) -> Iterator[KindCluster]:
    """A kind cluster until the block ends.

    Raises:
        RuntimeError: kind could not make it; the message holds what it printed.
        AssertionError: it does not become ready.
    """
    with _enclosed_cluster(engine, say) if isinstance(engine, Enclosed) else _installed_cluster(engine, say) as cluster:
        try:
            yield cluster
        finally:
            cluster.api.close()


@contextmanager
def some_kind_cluster(say: Say) -> Iterator[KindCluster]:
    """A kind cluster of `some_engine`; errors as there and of `kind_cluster`."""
    with some_engine(say) as engine, kind_cluster(engine, say) as cluster:
        yield cluster


@contextmanager
def _installed_cluster(engine: Engine, say: Say) -> Iterator[KindCluster]:
    image = python_image(say)
    _sweep(engine)
    name = f"{_PREFIX}{token_hex(3)}"
    say(f"Making the kind cluster {name}")
    with _held(name), tempfile.TemporaryDirectory() as folder:
        cluster = KindCluster(f"a kind cluster in {engine.program}", name, engine, Path(folder, "kubeconfig"))
        try:
            cluster.create(write_settings(engine, Path(folder)))
            cluster.load(image)
            cluster.image = image.name
            yield cluster
        finally:
            cluster.delete()


@contextmanager
def _enclosed_cluster(engine: Enclosed, say: Say) -> Iterator[KindCluster]:
    image = python_image(say)
    title = f"kind {KIND_VERSION} with a node image of our own, for Kubernetes {KUBERNETES_VERSION}"
    cluster = KindCluster(title, engine.enclosure.name, engine, engine.folder / "kubeconfig")
    cluster.kubectl = str(binaries(say) / "kubectl")
    cluster.create(write_settings(engine, engine.folder))
    cluster.connect()
    cluster.load(image)
    cluster.image = image.name
    cluster.wait()
    yield cluster  # it goes with its enclosure


def write_settings(engine: Engine, into: Path, roles: Sequence[str] = _ROLES) -> Path:
    """Write what kind is told of a cluster into a folder; the file."""
    cluster: dict[str, Any] = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4"}
    nodes = [{"role": role} for role in roles]
    if isinstance(engine, Enclosed):
        nodes = [{**node, "image": engine.node_image.name} for node in nodes]
        cluster["networking"] = {"disableDefaultCNI": True, "apiServerAddress": engine.address}
        # A machine may have cgroups of version 1 alone.
        cluster["kubeadmConfigPatches"] = ["kind: KubeletConfiguration\nfailCgroupV1: false\n"]
    path = into / "kind.yaml"
    path.write_text(json.dumps({**cluster, "nodes": nodes}))
    return path


def _has(engine: str, image: str) -> bool:
    command = [engine, "pull", "--quiet", image]
    if engine == "podman" and os.geteuid() == 0:
        command = image_builders.apart(command)  # it leaves its storage mounted
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=_PULL)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@contextmanager
def _held(name: str) -> Iterator[None]:
    """Hold the lock that says, for as long as this process lives, that somebody uses the cluster of that name."""
    lock = home() / f"{_LOCK}{name}"
    with locked(lock):
        yield
        lock.unlink()


def _sweep(engine: Engine) -> None:
    """Delete clusters whose test runs were killed."""
    for lock in home().glob(f"{_LOCK}{_PREFIX}*"):
        with contextlib.suppress(_InUse), locked(lock, waiting=_in_use):
            engine.run("kind", "delete", "cluster", f"--name={lock.name.removeprefix(_LOCK)}")
            lock.unlink()


class _InUse(Exception):
    """Another test run uses this cluster."""


def _in_use() -> NoReturn:
    raise _InUse
