"""A fresh kind cluster, where a Docker or Podman that answers and kind are there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import NoReturn

from tests.harness.cache import Say, home, locked

from . import image_builders
from .cluster import Capability, Cluster
from .commands import printed
from .images import Image, python_image

__all__ = ["KindCluster", "engine", "kind_cluster"]

_PREFIX = "perdure-"
_LOCK = "kind-lock-"
_SETTINGS = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [{"role": "control-plane"}, {"role": "worker"}, {"role": "worker"}],
}


class KindCluster(Cluster):
    """A cluster whose nodes are containers of `engine`."""

    capabilities = frozenset({Capability.NODE_COMMANDS})

    def __init__(self, name: str, engine: str, kubeconfig: Path) -> None:
        self.title = f"a kind cluster in {engine}"
        self.kubeconfig = kubeconfig
        self._name = name
        self._engine = engine

    def export_logs(self, into: Path) -> None:
        """Put the logs of its parts into a folder."""
        _kind(self._engine, "export", "logs", str(into), f"--name={self._name}")

    def load(self, image: Image) -> None:
        _kind(self._engine, "load", "image-archive", str(image.archive), f"--name={self._name}")
        self.image = image.name

    def run_on(self, node: str, *arguments: str) -> str:
        return printed([self._engine, "exec", node, *arguments])

    def ctr(self, node: str, *arguments: str) -> str:
        return self.run_on(node, "ctr", "--namespace=k8s.io", *arguments)


def engine() -> str | None:
    """The container engine that kind would use here; None without kind, too."""
    return image_builders.engine() if shutil.which("kind") else None


@contextmanager
def kind_cluster(engine: str, say: Say) -> Iterator[KindCluster]:
    """A kind cluster until the block ends.

    Raises:
        RuntimeError: kind could not make it; the message holds what it printed.
    """
    image = python_image(say)
    _sweep(engine)
    name = f"{_PREFIX}{token_hex(3)}"
    say(f"Making the kind cluster {name}")
    with _held(name), tempfile.TemporaryDirectory() as folder:
        kubeconfig, settings = Path(folder, "kubeconfig"), Path(folder, "kind.yaml")
        settings.write_text(json.dumps(_SETTINGS))
        try:
            _kind(
                engine,
                "create",
                "cluster",
                f"--name={name}",
                f"--kubeconfig={kubeconfig}",
                f"--config={settings}",
                "--wait=5m",
            )
            cluster = KindCluster(name, engine, kubeconfig)
            cluster.load(image)
            yield cluster
        finally:
            _kind(engine, "delete", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}")


@contextmanager
def _held(name: str) -> Iterator[None]:
    """Hold the lock that says, for as long as this process lives, that somebody uses the cluster of that name."""
    lock = home() / f"{_LOCK}{name}"
    with locked(lock):
        yield
        lock.unlink()


def _sweep(engine: str) -> None:
    """Delete clusters whose test runs were killed."""
    for lock in home().glob(f"{_LOCK}{_PREFIX}*"):
        with contextlib.suppress(_InUse), locked(lock, waiting=_in_use):
            _kind(engine, "delete", "cluster", f"--name={lock.name.removeprefix(_LOCK)}")
            lock.unlink()


class _InUse(Exception):
    """Another test run uses this cluster."""


def _in_use() -> NoReturn:
    raise _InUse


def _kind(engine: str, *arguments: str) -> str:
    return printed(["kind", *arguments], env={**os.environ, "KIND_EXPERIMENTAL_PROVIDER": engine})
