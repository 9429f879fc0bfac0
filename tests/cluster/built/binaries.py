"""The programs that the cluster runs and its tests need, built from the Go modules in parts/, kept in the user's cache.

All of Kubernetes is one program of many names, since its parts share nearly all of their code; CoreDNS is another.
What reads the chart, Helm, kube-score and promtool, and what reads a status, kstatus, have entries of their own. The
key is what goes into the build, so that a raised version is built anew and nothing else is.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.built.prerequisites import Lacking, go_lack
from tests.cluster.progress import Failed, output, progress
from tests.harness import cache
from tests.harness.cache import Say

__all__ = [
    "HELM",
    "KSTATUS",
    "KUBERNETES_VERSION",
    "KUBE_SCORE",
    "PARTS",
    "PROMTOOL",
    "Module",
    "binaries",
    "build",
    "key",
    "program",
]

PARTS = Path(__file__).resolve().parents[1] / "parts"

_PACKAGE = "package "  # begins each line that names one


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module that pins one program."""

    title: str
    folder: Path
    version_of: str
    """The required module whose version is the program's."""
    names: tuple[str, ...]
    """The program's file, then the links to it."""
    symbols: str = ""
    """The Go package whose variables tell the program its own version, if it does not know otherwise."""
    tags: str = ""
    """Of the build: what of the program is left out."""
    package: str = "."
    """The program's main package: the module's own, or one that it requires as a tool."""

    @property
    def version(self) -> str:
        """Such as v1.35.4; go.mod is the one place where it stands."""
        found = re.search(rf"(?m)^(?:require )?\s*{re.escape(self.version_of)} (v\S+)", self._go_mod)
        assert found is not None, f"{self.folder}/go.mod does not require {self.version_of}"
        return found[1]

    @property
    def flags(self) -> list[str]:
        """Arguments of `go build`: the same sources give the same program wherever they are built."""
        linker = ["-s", "-w"]
        if self.symbols:
            major, minor, *_ = self.version.removeprefix("v").split(".")
            values = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
            linker += [f"-X {self.symbols}.{name}={value}" for name, value in values.items()]
        return [*self.selection, "-trimpath", "-buildvcs=false", "-ldflags", " ".join(linker)]

    @property
    def selection(self) -> list[str]:
        """Arguments of `go build` and `go list` that say which packages belong to the program."""
        return ["-mod=readonly", *([f"-tags={self.tags}"] if self.tags else [])]

    def inputs(self) -> Iterator[bytes | str]:
        """Everything that decides what the program is, but for the version of Go."""
        yield from self.names
        yield from self.flags
        if self.package != ".":
            yield self.package
        own = self.folder / self.package if self.package.startswith(".") else self.folder
        for file in [self.folder / "go.mod", self.folder / "go.sum", *sorted(own.glob("*.go"))]:
            yield file.name
            yield file.read_bytes()

    def sources(self) -> Path:
        """Where the sources of `version_of` are once the program has been built."""
        *_, folder = _go(self, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", self.version_of)
        return Path(folder)

    @property
    def _go_mod(self) -> str:
        return (self.folder / "go.mod").read_text()


_MODULES = (
    Module(
        title="Kubernetes",
        folder=PARTS / "kubernetes",
        version_of="k8s.io/kubernetes",
        names=(
            "kubernetes",
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        ),
        symbols="k8s.io/component-base/version",
    ),
    Module(title="CoreDNS", folder=PARTS / "coredns", version_of="github.com/coredns/coredns", names=("coredns",)),
)

KUBERNETES_VERSION = _MODULES[0].version

HELM = Module(
    title="Helm",
    folder=PARTS / "helm",
    version_of="helm.sh/helm/v4",
    names=("helm",),
    package="helm.sh/helm/v4/cmd/helm",
)
KUBE_SCORE = Module(
    title="kube-score",
    folder=PARTS / "kube-score",
    version_of="github.com/zegl/kube-score",
    names=("kube-score",),
    package="github.com/zegl/kube-score/cmd/kube-score",
)
PROMTOOL = Module(
    title="promtool",
    folder=PARTS / "promtool",
    version_of="github.com/prometheus/prometheus",
    names=("promtool",),
    package="github.com/prometheus/prometheus/cmd/promtool",
    tags="remove_all_sd",  # clients of clouds, where Prometheus finds what it scrapes: most of what there is to build
)
KSTATUS = Module(
    title="kstatus",
    folder=PARTS / "kstatus",
    version_of="github.com/fluxcd/cli-utils",
    names=("kstatus",),
)


def program(module: Module, say: Say) -> Path:
    """A program that is no part of the cluster, under a key of its own; built and errors as `binaries`."""
    name = module.names[0]
    return cache.entry(name, key([module]), lambda into: build(module, into, say), say) / name


def binaries(say: Say, modules: Sequence[Module] = _MODULES) -> Path:
    """The folder with etcd, kubectl, coredns and every part of Kubernetes; built first if it is not in the cache.

    Raises:
        Lacking: they have to be built, and Go or the network is missing.
        Failed: the build failed; the message holds what Go said.
    """

    def make(into: Path) -> None:
        for module in modules:
            build(module, into, say)

    return cache.entry("binaries", key(modules), make, say)


def key(modules: Sequence[Module]) -> str:
    """The key in the cache for what these modules make here."""
    return cache.key_of([platform.machine(), *(part for module in modules for part in module.inputs())])


def build(module: Module, into: Path, say: Say) -> None:
    """Build one program into a folder, and its links next to it; errors as `binaries`."""
    if lack := go_lack(module.folder):
        raise Lacking([lack])
    label = f"{module.title} {module.version}"
    say(f"Building {label}, which takes minutes the first time")
    packages = _packages(module, label, say)
    built = 0
    with progress(say, lambda: f"{label}: {built:,} of {packages:,} packages"):
        for _ in _go(module, "build", "-v", *module.flags, "-o", str(into / module.names[0]), module.package):
            built += 1
    for name in module.names[1:]:
        (into / name).symlink_to(module.names[0])


def _packages(module: Module, label: str, say: Say) -> int:
    """How many packages there are to build; downloads them."""
    packages = downloads = 0
    with progress(say, lambda: f"{label}: {downloads:,} modules downloaded"):
        for line in _go(module, "list", *module.selection, "-deps", "-f", _PACKAGE + "{{.ImportPath}}", module.package):
            packages += line.startswith(_PACKAGE)
            downloads += line.startswith("go: downloading ")
    return packages


def _go(module: Module, *arguments: str) -> Iterator[str]:
    """What `go` prints, line by line."""
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    for name in ("GOOS", "GOARCH"):
        env.pop(name, None)  # the programs run here
    try:
        yield from output(["go", *arguments], cwd=module.folder, env=env, results=_PACKAGE)
    except Failed as failed:
        if failed.no_network is None:
            raise
        need = f"the network, as {module.title} {module.version} must be built"
        raise Lacking([f"{need} ({failed.no_network})"]) from failed
