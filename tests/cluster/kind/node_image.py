"""The image of kind's nodes where there is no registry to pull it from: made of Debian packages and Go modules.

It is what kind's own Dockerfile and `kind build node-image` make, with kind's own files, but for what
parts/kind/node.Dockerfile says. Its images, too, are made here, and bear the names under which kubeadm asks for them.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster.built.binaries import KUBERNETES_VERSION, PARTS, binaries
from tests.cluster.built.containerd import Containerd
from tests.cluster.built.enclosure import open_enclosure
from tests.cluster.commands import printed
from tests.cluster.image_builders import Builder
from tests.cluster.images import Image, bootstrap, cached, packages
from tests.harness.cache import Say, key_of

from .programs import FILES, STORAGE, programs

__all__ = ["node_image"]

_PARTS = PARTS / "kind"
_PROGRAMS = ("coredns", "kubeadm", "local-path-provisioner", "pause")
_IPTABLES = ("iptables", "iptables-restore", "iptables-save", "ip6tables", "ip6tables-restore", "ip6tables-save")


def node_image(say: Say) -> Image:
    """The image, for Kubernetes of the same version as the built cluster's.

    Raises:
        Lacking: it has to be built, and Go, what builds images or the network is missing.
        Failed: the build failed.
    """
    made, kubernetes = programs(say), binaries(say)
    inputs = [file.read_bytes() for file in sorted(_PARTS.iterdir()) if file.is_file()]

    def make(using: Builder, name: str, archive: Path, work: Path) -> None:
        context = work / "context"
        _gather(context, made, kubernetes, say)
        pause = _preload(context, using, (made / STORAGE).read_text(), say)
        arguments = {"VERSION": KUBERNETES_VERSION, "PAUSE": pause}
        using.build(_PARTS / "node.Dockerfile", context, name, arguments, say)
        using.save(name, archive)

    return cached("kind-node", [made.name, kubernetes.name, *inputs], make, say)


def _gather(context: Path, made: Path, kubernetes: Path, say: Say) -> None:
    """Put everything together that the Dockerfiles take."""
    shutil.copytree(made / FILES, context / "kind")
    shutil.copytree(kubernetes, context / "kubernetes", symlinks=True)
    (context / "programs").mkdir()
    for name in _PROGRAMS:
        shutil.copy(made / name, context / "programs")
    (context / "manifests").mkdir()
    shutil.copy(made / STORAGE, context / "manifests")
    for name in ("cni.conflist", "crictl"):
        shutil.copy(_PARTS / name, context)
    release, names = packages(_PARTS / "debian")
    with ThreadPoolExecutor() as pool:  # each waits for downloads more than it works
        extracted = {"iptables": "iptables", "busybox": "busybox-static"}  # without scripts, which would make the links
        roots = [pool.submit(bootstrap, release, names, context / "node.tar", say)]
        for name, package in extracted.items():
            archive = context / f"{name}.tar"
            roots.append(pool.submit(bootstrap, release, [package], archive, lambda _: None, variant="extract"))
        for root in roots:
            root.result()
    _link(context / "iptables.tar", {f"usr/sbin/{name}": _nft(name) for name in _IPTABLES})
    _link(context / "busybox.tar", {f"bin/{name}": "busybox" for name in ("sh", "mkdir", "rm")})


def _nft(name: str) -> str:
    program, _, does = name.partition("-")
    return f"{program}-nft-{does}" if does else f"{program}-nft"


def _link(archive: Path, links: Mapping[str, str]) -> None:
    with tarfile.open(archive, "a") as opened:
        for name, target in links.items():
            link = tarfile.TarInfo(f"./{name}")
            link.type, link.linkname = tarfile.SYMTYPE, target
            opened.addfile(link)


def _preload(context: Path, using: Builder, storage: str, say: Say) -> str:
    """Make the images that a node has from the start; the name of the sandbox's.

    They are kept as they were packed: each node unpacks what it runs.
    """
    names = _names(context, storage)
    archives = {}
    for stage in dict.fromkeys(names.values()):
        archives[stage] = context.parent / f"{stage}.tar"
        using.build(_PARTS / "images.Dockerfile", context, _made(stage), {}, say, target=stage)
        using.save(_made(stage), archives[stage])
    with open_enclosure(key_of([str(context)]), []) as enclosure:
        folder = enclosure.folder / "images"
        folder.mkdir()
        (enclosure.folder / "logs").mkdir()
        containerd = Containerd(enclosure, folder, "none", "10.244.0.0/24", None)
        containerd.part.start()
        containerd.wait()
        for stage, archive in archives.items():
            containerd.ctr("images", "import", "--no-unpack", str(archive))
            for name in names:
                if names[name] == stage:
                    containerd.ctr("images", "tag", _made(stage), name)
            containerd.ctr("images", "remove", _made(stage))
        containerd.part.stop()
        for kept in ("io.containerd.content.v1.content", "io.containerd.metadata.v1.bolt"):
            shutil.copytree(folder / "containerd" / kept, context / "containerd" / kept)
    return next(name for name, stage in names.items() if stage == "pause")


def _made(stage: str) -> str:
    return f"perdure.test/{stage}:made"


def _names(context: Path, storage: str) -> dict[str, str]:
    """The names of the images by which kubeadm and the manifest for storage ask for them, and the stage of each."""
    kubeadm = context / "programs" / "kubeadm"
    wanted = printed([str(kubeadm), "config", "images", "list", f"--kubernetes-version={KUBERNETES_VERSION}"]).split()
    wanted += dict.fromkeys(re.findall(r"docker\.io/kindest/\S+", storage))
    own = ("coredns", "pause", "local-path-provisioner", "local-path-helper")
    return {name: next((stage for stage in own if f"/{stage}:" in name), "kubernetes") for name in wanted}
