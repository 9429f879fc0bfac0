"""What there is on this machine of a built cluster, and what of the machine itself a cluster might change.

Both leave out other clusters, which may come and go at the same time.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .built import cgroups
from .built.enclosure import Enclosure, folder_of

__all__ = ["belongings", "keepers", "machine"]

_ANY = folder_of("").name
_KEEPER = "\0tests.cluster.built.keeper\0"

# Where kubelet, containerd, CNI plugins, kube-proxy and container engines write if nothing stops them.
_TREES = (
    *("/etc/cni", "/opt", "/usr/libexec/kubernetes"),
    *("/run/containerd", "/run/flannel", "/run/netns", "/run/runc", "/run/xtables.lock"),
    *("/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"),
)
_FOLDERS = ("/", "/dev/shm", "/etc", "/run", "/var/lib", "/var/log")  # what is directly in them
_OTHERS = "/var/lib/containers"  # there while another run builds an image
_TEMPORARY = ("containerd", "cri", "ctd", "etcd", "kube", "runc")  # what files in /tmp begin with
_SETTINGS = (
    *("kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/panic", "kernel/panic_on_oops"),
    *("net/ipv4/conf/all/route_localnet", "net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max"),
    *("vm/overcommit_memory", "vm/panic_on_oom"),
)


def keepers(starter: int) -> dict[str, int]:
    """The keepers that a process has started: the names of their enclosures, and their process ids."""
    found = {}
    for pid in _processes():
        arguments = _read(pid, "cmdline").split("\0")
        if (
            "tests.cluster.built.keeper" in arguments
            and int(_read(pid, "stat").rpartition(")")[2].split()[1]) == starter
        ):
            found[arguments[arguments.index("tests.cluster.built.keeper") + 1]] = pid
    return found


def belongings(name: str) -> list[str]:
    """Processes, mounts, links, cgroups and files of the enclosure of that name, each in words."""
    folder = folder_of(name)
    processes = (f"process {pid}: {_read(pid, 'cmdline')}" for pid in _processes() if _belongs(pid, folder.name, name))
    mounts = (line for line in Path("/proc/self/mountinfo").read_text().splitlines() if folder.name in line)
    link = Path("/sys/class/net", Enclosure(name, folder, 0, 0, 0).link)
    files = (path for where in ("/tmp", "/var/tmp", "/run") for path in Path(where).iterdir() if name in path.name)
    return [*processes, *mounts, *map(str, [*cgroups.leftovers(folder.name), *files]), *([str(link)] * link.exists())]


def machine() -> set[str]:
    """Mounts, network namespaces, links, filter rules, cgroups, files and settings that belong to no cluster."""
    return {line for line in _machine() if _ANY not in line and line != _OTHERS}


def _machine() -> Iterator[str]:
    yield from Path("/proc/self/mountinfo").read_text().splitlines()
    for pid in _processes():
        if not _belongs(pid, _ANY):
            try:
                yield f"network namespace {os.readlink(f'/proc/{pid}/ns/net')}"
            except OSError:
                continue
    yield from (f"link {link}" for link in os.listdir("/sys/class/net") if not link.startswith("perdure-"))
    for save in ("iptables-save", "ip6tables-save"):
        done = subprocess.run([save], capture_output=True, text=True, check=False)
        yield from (f"{save}: {line.split(' [')[0]}" for line in done.stdout.splitlines() if line[0] != "#")
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        yield from (folder for folder, _, _ in os.walk(hierarchy))
    for tree in _TREES:
        yield from (f"{folder}/{name}" for folder, names, files in os.walk(tree) for name in [*names, *files])
    yield from (f"{folder}/{name}" for folder in _FOLDERS for name in os.listdir(folder))
    yield from (name for name in os.listdir("/tmp") if name.startswith(_TEMPORARY))
    for setting in _SETTINGS:
        path = Path("/proc/sys", setting)
        yield f"{path} {path.read_text() if path.exists() else None}"


def _belongs(pid: int, folder: str, name: str | None = None) -> bool:
    # All that runs inside has a TMPDIR there, or is in a container, and so in a cgroup of the cluster.
    if any(folder in _read(pid, file) for file in ("cmdline", "environ", "cgroup")):
        return True
    return (f"{_KEEPER}{name}\0" if name else _KEEPER) in _read(pid, "cmdline")


def _processes() -> Iterator[int]:
    """Those that live."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _stat(int(entry))[0] not in "ZX":
            yield int(entry)


def _stat(pid: int) -> list[str]:
    """What /proc/<pid>/stat says after the name: state, parent ..."""
    return _read(pid, "stat").rpartition(")")[2].split() or ["X"]


def _read(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(errors="replace")
    except OSError:
        return ""
