"""kind, and the programs that its nodes are made of, from the Go modules in parts/."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.cluster.built.binaries import PARTS, Module, build, key
from tests.harness import cache
from tests.harness.cache import Say

__all__ = ["FILES", "KIND_VERSION", "MODULES", "NODE_IMAGE", "STORAGE", "programs"]

FILES = "files"
NODE_IMAGE = "node-image"
STORAGE = "default-storage.yaml"

_KIND = Module(
    title="kind",
    folder=PARTS / "kind",
    version_of="sigs.k8s.io/kind",
    names=("kind",),
    package="sigs.k8s.io/kind",
)
MODULES = (
    _KIND,
    Module(
        title="kubeadm",
        folder=PARTS / "kubeadm",
        version_of="k8s.io/kubernetes",
        names=("kubeadm",),
        package="k8s.io/kubernetes/cmd/kubeadm",
        symbols="k8s.io/component-base/version",
    ),
    Module(
        title="CoreDNS for kubeadm",
        folder=PARTS / "coredns",
        version_of="github.com/coredns/coredns",
        names=("coredns",),
        package="./kubeadm",
    ),
    Module(
        title="local-path-provisioner",
        folder=PARTS / "local-path-provisioner",
        version_of="github.com/rancher/local-path-provisioner",
        names=("local-path-provisioner",),
        package="github.com/rancher/local-path-provisioner",
    ),
    Module(
        title="pause",
        folder=PARTS / "kind",
        version_of="sigs.k8s.io/kind",
        names=("pause",),
        package="./pause",
    ),
)

KIND_VERSION = _KIND.version


def programs(say: Say) -> Path:
    """The folder with kind and the programs that its nodes need besides `binaries`, and with what kind's sources hold.

    That is the files of its node image (`FILES`), the manifest for storage (`STORAGE`) and its image's name
    (`NODE_IMAGE`).

    Raises:
        Lacking: they have to be built, and Go or the network is missing.
        Failed: the build failed; the message holds what Go said.
    """

    def make(into: Path) -> None:
        for module in MODULES:
            build(module, into, say)
        sources = _KIND.sources()
        shutil.copytree(sources / "images" / "base" / "files", into / FILES, copy_function=shutil.copyfile)
        (into / STORAGE).write_text(_storage(sources))
        default = (sources / "pkg" / "apis" / "config" / "defaults" / "image.go").read_text()
        (into / NODE_IMAGE).write_text(re.findall(r'const Image = "([^"]+)"', default)[0])

    made_of = cache.key_of([key(MODULES), FILES, NODE_IMAGE, STORAGE])
    return cache.entry("kind", made_of, make, say)


def _storage(sources: Path) -> str:
    """The manifest by which kind's nodes offer volumes: a constant, which the images' names, others, interrupt."""
    text = (sources / "pkg" / "build" / "nodeimage" / "const_storage.go").read_text()
    constants = dict(re.findall(r'(?m)^const (\w+) = "([^"]+)"$', text))
    _, _, manifest = text.partition("const defaultStorageManifest = `")
    return re.sub(r"` \+ (\w+) \+ `", lambda name: constants[name[1]], manifest.rpartition("`")[0])
