"""What runs kind's node containers: a Docker or Podman that answers, or Debian's Podman in an enclosure of ours.

The enclosure (built/enclosure.py) holds all that Podman leaves on a machine: its containers and storage, its networks
and rules, its cgroups. So nothing of it stays, however a test run ends, and the machine's own Podman does not see it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Protocol

from tests.cluster.built import network
from tests.cluster.built.enclosure import Enclosure, open_enclosure
from tests.cluster.built.part import Part
from tests.cluster.commands import printed
from tests.cluster.images import Image

__all__ = ["Enclosed", "Engine", "Installed", "enclosed"]

_SETTINGS = """\
[containers]
# By default Podman asks for more files than a machine may grant, which without CAP_SYS_RESOURCE is an error.
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
pids_limit = 0

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
image_copy_tmp_dir = "{folder}"
runtime = "runc"

[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "/run/containers/storage"
"""

# Enters a cgroup of the enclosure and makes that the topmost one that is in sight: what Podman makes is below it, and
# goes with it. Its own processes are in `tools`, as version 2 wants none where there are cgroups below.
_ENTER = """
set -e
hierarchies=/run/hierarchies
awk '$3 == "cgroup" || $3 == "cgroup2" { print $2, $3, $4 }' /proc/self/mounts >$hierarchies
while read -r at _; do
    own=$at/$1/podman
    mkdir $own
    if [ -e $own/cpuset.mems ] && [ ! -e $own/cgroup.controllers ]; then
        cat $at/$1/cpuset.cpus >$own/cpuset.cpus
        cat $at/$1/cpuset.mems >$own/cpuset.mems
    fi
    echo 0 >$own/cgroup.procs
done <$hierarchies
exec unshare --cgroup sh -ec "$2" sh $hierarchies
"""
_SHOW = """
[ "$(cut -d' ' -f1 $1)" = /sys/fs/cgroup ] || mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
while read -r at kind options; do
    mkdir -p $at
    if [ $kind = cgroup2 ]; then
        mount -t cgroup2 cgroup $at
    else
        controllers=$(echo $options | tr , '\\n' | grep -vxE 'rw|ro|relatime|nosuid|nodev|noexec|seclabel|xattr')
        case $controllers in name=*) controllers=none,$controllers ;; esac
        mount -t cgroup -o "$(echo $controllers | tr ' ' ,)" cgroup $at
    fi
    mkdir $at/tools
    if [ -e $at/tools/cpuset.mems ] && [ ! -e $at/cgroup.controllers ]; then
        cat $at/cpuset.cpus >$at/tools/cpuset.cpus
        cat $at/cpuset.mems >$at/tools/cpuset.mems
    fi
    echo 0 >$at/tools/cgroup.procs
done <$1
echo $$
exec sleep infinity
"""

# Nothing leads out of an enclosure: the name server that it has knows no names, and says so at once. And kind shows its
# nodes the kernel's modules, of which a machine may have none.
_NAMES = ".:53 {{\n    bind {address}\n    template IN ANY . {{\n        rcode NXDOMAIN\n    }}\n}}\n"
_PREPARE = """
set -e
ip link set lo up
echo "nameserver $2" >"$1/resolv.conf"
mount --bind "$1/resolv.conf" "$(readlink -f /etc/resolv.conf)"
if [ ! -e /lib/modules ]; then
    at=$(readlink -f /lib)
    mkdir -p "$1/lib/upper" "$1/lib/work"
    mount -t overlay -o "lowerdir=$at,upperdir=$1/lib/upper,workdir=$1/lib/work" lib "$at"
    mkdir /lib/modules
fi
"""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Engine(Protocol):
    """By what kind runs its nodes."""

    @property
    def program(self) -> str:
        """`docker` or `podman`."""

    @property
    def path(self) -> str:
        """Where commands find programs, kind among them."""

    def run(self, *command: str, environment: Mapping[str, str] = _NOTHING) -> str:
        """Run a command where the engine is, and return what it printed.

        Raises:
            RuntimeError: it failed; the message holds what it printed.
        """


@dataclass(frozen=True, slots=True)
class Installed:
    """An engine that this machine has."""

    program: str
    programs: Path | None = None
    """Where kind is, if it is not installed, too."""

    @property
    def path(self) -> str:
        return os.pathsep.join([os.environ.get("PATH", os.defpath), *([str(self.programs)] if self.programs else [])])

    def run(self, *command: str, environment: Mapping[str, str] = _NOTHING) -> str:
        own = {"KIND_EXPERIMENTAL_PROVIDER": self.program, "PATH": self.path}
        return printed(command, env={**os.environ, **own, **environment})


@dataclass(frozen=True, slots=True)
class Enclosed:
    """Podman in an enclosure."""

    enclosure: Enclosure
    address: str
    """At which this machine reaches what a container publishes."""
    folder: Path
    """For whatever is to go with the enclosure."""
    node_image: Image
    _cgroups: str
    """The process in there, by its number in there, whose view of cgroups commands get."""
    path: str
    program: str = "podman"

    def run(self, *command: str, environment: Mapping[str, str] = _NOTHING) -> str:
        return printed(self.inside(*command, environment=environment), told_as=command)

    def inside(self, *command: str, environment: Mapping[str, str] = _NOTHING) -> list[str]:
        """The command that runs another in there."""
        own = {
            "CONTAINERS_CONF": f"{self.folder}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
            "KIND_EXPERIMENTAL_PROVIDER": "podman",
            "HOME": str(self.folder),
            "PATH": self.path,
        }
        settings = [f"{name}={value}" for name, value in {**own, **environment}.items()]
        entered = ["nsenter", f"--cgroup=/proc/{self._cgroups}/ns/cgroup", "--", "env", *settings, *command]
        return self.enclosure.inside(entered)


@contextmanager
def enclosed(programs: Sequence[Path], coredns: Path, node_image: Image) -> Iterator[Enclosed]:
    """Podman in an enclosure, with the programs of these folders, until the block ends or this process does.

    Raises:
        RuntimeError: it cannot be made; the message says why.
    """
    with open_enclosure(token_hex(3), []) as enclosure:
        folder = enclosure.folder / "podman"
        folder.mkdir()
        (folder / "containers.conf").write_text(_SETTINGS.format(folder=folder))
        (folder / "storage.conf").write_text(_STORAGE.format(folder=folder))
        (folder / "Corefile").write_text(_NAMES.format(address=network.CONTROL_PLANE))
        address = network.lay(enclosure, {})
        enclosure.run("sh", "-c", _PREPARE, "sh", str(folder), network.CONTROL_PLANE)
        command = [str(coredns), "-conf", str(folder / "Corefile")]
        names = Part("coredns", enclosure, command, folder / "coredns.log")
        names.start()
        entering = enclosure.inside(["sh", "-c", _ENTER, "sh", enclosure.cgroup, _SHOW])
        holder = subprocess.Popen(entering, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert holder.stdout
        try:
            if not (number := holder.stdout.readline().strip()):
                raise RuntimeError(f"no cgroups for podman: what enters them ended with {holder.wait()}")
            path = os.pathsep.join([*map(str, programs), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
            podman = Enclosed(enclosure, address, folder, node_image, number, path)
            podman.run("podman", "load", "--quiet", "--input", str(node_image.archive))
            yield podman
        finally:
            enclosure.end()
            names.reap()
            holder.communicate()
