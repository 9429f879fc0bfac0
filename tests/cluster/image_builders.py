"""The programs that build images: Docker or Podman, if an engine answers, or buildah, which needs none."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.cluster.progress import run
from tests.harness.cache import Say

__all__ = ["Builder", "apart", "builder", "engine"]

# Where this machine keeps the authorities that it trusts. A step that downloads must trust the same ones.
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_MACHINE_STORAGE = Path("/var/lib/containers")
_ANSWERS_WITHIN_S = 15


class Builder(Protocol):
    """Builds images from Dockerfiles; what it made is gone when it is closed."""

    def load(self, name: str, archive: Path) -> None:
        """Make the image of an archive known, to build upon."""

    def build(
        self, dockerfile: Path, context: Path, name: str, arguments: Mapping[str, str], say: Say, *, target: str = ""
    ) -> None:
        """Build and name an image, or its stage `target`; raises `Failed` with what the build printed last."""

    def save(self, name: str, archive: Path) -> None:
        """Write an image to an archive, in Docker's format, which everybody reads."""

    def close(self) -> None:
        """Forget all images."""


def builder(work: Path) -> Builder | None:
    """What builds images here, keeping what it needs in the folder `work`; None if nothing does."""
    name = engine()
    buildah = shutil.which("buildah") is not None
    # Podman would run each step in a container, for which it may lack rights that buildah needs not.
    if name is not None and not (name == "podman" and buildah and os.geteuid() == 0):
        return _Engine(name)
    return _Buildah(work) if buildah else None


def engine() -> str | None:
    """`docker` or `podman`, whichever is there and answers: the client alone runs nothing."""
    for name in ("docker", "podman"):
        try:
            done = subprocess.run([name, "info"], check=False, capture_output=True, timeout=_ANSWERS_WITHIN_S)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return name
    return None


def apart(command: Sequence[str]) -> list[str]:
    """The command with processes and mounts of its own, all of which end with this process, however that ends."""
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"),
        *command,
    ]


def _arguments(arguments: Mapping[str, str]) -> list[str]:
    return [f"--build-arg={name}={value}" for name, value in arguments.items()]


def _trust() -> list[str]:
    return [f"--volume={_AUTHORITIES}:{_AUTHORITIES}:ro"] if _AUTHORITIES.is_file() else []


@dataclass(slots=True)
class _Engine:
    program: str
    made: list[str] = field(default_factory=list)

    def load(self, name: str, archive: Path) -> None:
        self._run("load", "--input", str(archive))
        self.made.append(name)

    def build(
        self, dockerfile: Path, context: Path, name: str, arguments: Mapping[str, str], say: Say, *, target: str = ""
    ) -> None:
        trust = _trust() if self.program == "podman" else []  # Docker cannot
        command = [self.program, "build", *trust, *_arguments(arguments), f"--tag={name}", f"--file={dockerfile}"]
        command += [f"--target={target}"] if target else []
        run([*command, str(context)], name, say)
        self.made.append(name)

    def save(self, name: str, archive: Path) -> None:
        self._run("save", "--output", str(archive), name)

    def close(self) -> None:
        if self.made:
            subprocess.run([self.program, "rmi", "--force", *self.made], check=False, capture_output=True)

    def _run(self, *arguments: str) -> None:
        run([self.program, *arguments], self.program, lambda _: None)


@dataclass(frozen=True, slots=True)
class _Buildah:
    """In a storage of its own, so that it neither finds nor leaves anything in that of this machine."""

    folder: Path

    def load(self, name: str, archive: Path) -> None:
        self._run(["pull", "--quiet", f"docker-archive:{archive}"], name, lambda _: None)

    def build(
        self, dockerfile: Path, context: Path, name: str, arguments: Mapping[str, str], say: Say, *, target: str = ""
    ) -> None:
        command = [
            "build",
            "--layers=false",
            *_trust(),
            *_arguments(arguments),
            f"--tag={name}",
            f"--file={dockerfile}",
            *([f"--target={target}"] if target else []),
        ]
        self._run([*command, str(context)], name, say)

    def save(self, name: str, archive: Path) -> None:
        self._run(["push", "--quiet", name, f"docker-archive:{archive}:{name}"], name, lambda _: None)

    def close(self) -> None:
        shutil.rmtree(self.folder / "storage", ignore_errors=True)

    def _run(self, arguments: Sequence[str], label: str, say: Say) -> None:
        storage = self.folder / "storage"
        storage.mkdir(exist_ok=True)
        buildah = [
            "buildah",
            f"--root={storage}/root",
            f"--runroot={storage}/run",
            f"--storage-driver={self._driver()}",
        ]
        # It remembers blobs in the machine's own folder, whatever its root: that it gets an empty one of.
        script = f'mount -t tmpfs none {_MACHINE_STORAGE} && exec "$@"'
        env = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.folder)}
        was_there = _MACHINE_STORAGE.is_dir()
        _MACHINE_STORAGE.mkdir(exist_ok=True)
        try:
            run(apart(["sh", "-c", script, "sh", *buildah, *arguments]), label, say, env=env)
        finally:
            if not was_there:
                _MACHINE_STORAGE.rmdir()

    def _driver(self) -> str:
        """`overlay`, which is fast; `vfs` where it cannot lie upon the file system of the folder, as in a container."""
        with tempfile.TemporaryDirectory(dir=self.folder) as trial:
            for name in ("lower", "upper", "work", "merged"):
                (Path(trial) / name).mkdir()
            mount = ["mount", "-t", "overlay", "-o", "lowerdir=lower,upperdir=upper,workdir=work", "none", "merged"]
            done = subprocess.run(apart(mount), cwd=trial, check=False, capture_output=True)
        return "overlay" if done.returncode == 0 else "vfs"
