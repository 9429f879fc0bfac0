"""A containerd of its own for each node, and the images that it starts with.

Unpacking an image takes seconds for every node; so it is done once, and what containerd then holds is kept in the
cache.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from tests.cluster.images import Image
from tests.harness import cache
from tests.harness.cache import Say

from .enclosure import Enclosure, open_enclosure
from .part import Part

__all__ = ["Containerd", "unpacked"]

_SETTINGS = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/state"
disabled_plugins = [
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{folder}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox_image}"
# Scores below the kubelet's own need CAP_SYS_RESOURCE, which a machine in a container or a small VM may lack.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
"""
_START = 20.0  # seconds


class Containerd:
    """The containerd of one node, all of whose files are in `folder`; its pods get addresses from `pod_range`."""

    def __init__(
        self, enclosure: Enclosure, folder: Path, sandbox_image: str, pod_range: str, network: str | None
    ) -> None:
        self.socket = folder / "containerd.sock"
        self._folder = folder
        self._enclosure = enclosure
        (folder / "containerd").mkdir()
        (folder / "cni").mkdir()
        (folder / "cni" / "10-cluster.conflist").write_text(json.dumps(self._pod_network(pod_range), indent=2))
        settings = folder / "containerd.toml"
        settings.write_text(_SETTINGS.format(folder=folder, sandbox_image=sandbox_image))
        name = f"containerd of {folder.name}"
        log = enclosure.folder / "logs" / f"{folder.name}-containerd.log"
        self.part = Part(name, enclosure, ["containerd", f"--config={settings}"], log, network=network)

    def take(self, unpacked: Path) -> None:
        """Begin with the images of this archive of `unpacked`."""
        subprocess.run(["tar", *_XATTRS, "--extract", f"--file={unpacked}", f"--directory={self._folder}"], check=True)

    def take_over(self, other: Containerd) -> None:
        """Begin with the images of another that has not started yet; neither changes a file that both have."""
        ours = self._folder / "containerd"
        subprocess.run(["cp", "--archive", "--link", f"{other._folder}/containerd/.", f"{ours}/"], check=True)
        for database in ours.rglob("*.db"):
            content = database.read_bytes()
            database.unlink()
            database.write_bytes(content)

    def ctr(self, *arguments: str) -> str:
        """Run `ctr`, containerd's own client, on what Kubernetes runs; errors as `Enclosure.run`."""
        return self._enclosure.run("ctr", f"--address={self.socket}", "--namespace=k8s.io", *arguments)

    def load(self, archive: Path) -> None:
        """Take in an image from an archive; errors as `Enclosure.run`."""
        self.ctr("images", "import", str(archive))

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it has ended, or does not answer after 20 s; the message holds its last words.
        """
        ends = time.monotonic() + _START
        while True:
            try:
                self.ctr("version")
            except RuntimeError as error:
                if self.part.running and time.monotonic() < ends:
                    time.sleep(0.02)
                    continue
                raise RuntimeError(
                    f"{self.part.name} does not answer; its last words:\n{self.part.last_words()}"
                ) from error
            return

    def _pod_network(self, pod_range: str) -> object:
        addresses = {
            "type": "host-local",
            "dataDir": str(self._folder / "addresses"),
            "ranges": [[{"subnet": pod_range}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        # A link of its own for each pod, no bridge: so that all traffic passes the rules of kube-proxy.
        link = {"type": "ptp", "ipMasq": False, "ipam": addresses}
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "0.4.0", "name": "cluster", "plugins": [link, ports]}


def unpacked(image: Image, say: Say) -> Path:
    """An archive of what a containerd holds that has `image`, for `Containerd.take`."""
    name = "containerd.tar"

    def make(into: Path) -> None:
        say(f"Unpacking {image.name}")
        with open_enclosure(cache.key_of([str(into)]), []) as enclosure:
            (enclosure.folder / "logs").mkdir()
            folder = enclosure.folder / "images"
            folder.mkdir()
            containerd = Containerd(enclosure, folder, image.name, "10.244.0.0/24", None)
            containerd.part.start()
            containerd.wait()
            containerd.load(image.archive)
            containerd.part.stop()
            subprocess.run(
                ["tar", *_XATTRS, "--create", f"--file={into / name}", f"--directory={folder}", "containerd"],
                check=True,
            )

    return cache.entry("containerd", cache.key_of([image.name, _SETTINGS]), make, say) / name


_XATTRS = ("--xattrs", "--xattrs-include=*")
