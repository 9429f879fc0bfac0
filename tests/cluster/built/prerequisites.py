"""What this machine lacks for the cluster built from package registries, in words for whoever runs its tests."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Lacking", "check", "go_lack", "lacks"]

_PACKAGES = Path(__file__).resolve().parents[1] / "parts" / "debian-packages"
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

# Each script does what the cluster will do with the kernel; $0 is an empty folder.
_PROBES = {
    "namespaces for processes, mounts and networks": "true",
    "the overlay file system": (
        'mount -t tmpfs none "$0" && mkdir "$0/l" "$0/u" "$0/w" "$0/m"'
        ' && mount -t overlay -o "lowerdir=$0/l,upperdir=$0/u,workdir=$0/w" none "$0/m"'
    ),
    "virtual network links and bridges": (
        "ip link add name br0 type bridge && ip link add name v0 type veth peer name v1"
    ),
    "network address translation by iptables": "iptables -w -t nat -S",
}
_CONTROLLERS = ("cpu", "memory", "pids")


class Lacking(Exception):
    """This machine lacks something that the cluster needs; the message is one sentence, to be shown as it is."""

    def __init__(self, lacks: Sequence[str]) -> None:
        self.lacks = list(lacks)
        super().__init__(f"No cluster here, so nothing that needs one is tested: missing is {'; '.join(lacks)}.")


def check(packages: Sequence[Path] = (_PACKAGES,)) -> None:
    """Raises `Lacking` where `lacks` finds something."""
    if missing := lacks(packages):
        raise Lacking(missing)


def lacks(packages: Sequence[Path] = (_PACKAGES,)) -> list[str]:
    """What a cluster of these lists of packages needs to be built and started and is not there, a phrase each.

    It takes no time.

    What it takes to build the parts, Go and the network, is missed only where they are not in the cache: by whoever
    builds them.
    """
    if platform.system() != "Linux":
        return ["Linux"]
    if os.geteuid() != 0:
        return ["root", *_packages(packages)]
    return _packages(packages) or [*_kernel_features(), *_cgroup_controllers()]


def go_lack(module: Path) -> str | None:
    """What Go lacks for building the module in this folder; None if it can."""
    wanted = re.search(r"(?m)^go (\d+)\.(\d+)", (module / "go.mod").read_text())
    assert wanted is not None, f"{module}/go.mod names no version of Go"
    need = f"Go {wanted[1]}.{wanted[2]} or newer"
    try:
        # In the folder of the module, where a Go that may switch to a newer one does so.
        done = subprocess.run(["go", "version"], cwd=module, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return need
    if done.returncode != 0:
        return f"{need} ({' '.join(done.stderr.split())})"
    has = re.search(r"go(\d+)\.(\d+)", done.stdout)
    if has is None or (int(has[1]), int(has[2])) < (int(wanted[1]), int(wanted[2])):
        return f"{need} (found: {done.stdout.strip()})"
    return None


def _packages(lists: Sequence[Path]) -> list[str]:
    missing = []
    for line in "\n".join(path.read_text() for path in lists).splitlines():
        if line and not line.startswith("#"):
            package, proof = line.split()
            if shutil.which(proof, path=_PATH) is None:
                missing.append(package)
    plural = "s" if len(missing) > 1 else ""
    return [f"the Debian package{plural} {', '.join(missing)}"] if missing else []


def _kernel_features() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        for feature, script in _PROBES.items():
            # Whatever a probe makes ends with its namespaces.
            command = ["unshare", "--pid", "--mount", "--net", "--fork", "sh", "-ec", script, folder]
            done = subprocess.run(
                command, env={**os.environ, "PATH": _PATH}, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                return [f"{feature} ({' '.join(done.stderr.split())})"]
    return []


def _cgroup_controllers() -> list[str]:
    found: set[str] = set()
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup" and os.access(where, os.W_OK):
            found.update(options.split(","))
        elif kind == "cgroup2" and os.access(where, os.W_OK):
            found.update((Path(where) / "cgroup.controllers").read_text().split())
    missing = [name for name in _CONTROLLERS if name not in found]
    return [f"the cgroup controllers {', '.join(missing)} (or the right to use them)"] if missing else []
