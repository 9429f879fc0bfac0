"""Images for the pods of a cluster, built with whatever builds images here and kept as archives in the user's cache.

Nothing stays outside the cache: an engine is told to forget what was built, and buildah works in folders of its own.
What the build may read is copied first, so that the key of an image covers all that is in it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.built.prerequisites import Lacking
from tests.cluster.image_builders import Builder, apart, builder
from tests.cluster.progress import Failed, run
from tests.harness import cache
from tests.harness.cache import Say

__all__ = ["Image", "bootstrap", "build", "cached", "packages", "python_image"]

_PARTS = Path(__file__).resolve().parent / "parts" / "images"
_REGISTRY = "perdure.test"  # there is none: nobody can pull these images from anywhere


_Make = Callable[[Builder, str, Path, Path], None]  # by what; the image's name, its archive, a folder to work in


@dataclass(frozen=True, slots=True)
class Image:
    """An image and the file that holds it, which `ctr images import`, `kind load` and `docker load` read."""

    name: str
    archive: Path


def python_image(say: Say, base: str | None = None) -> Image:
    """An image with Python and its venv, /bin/sleep, and the certificates of public authorities; it sleeps.

    It is made from the image `base`, which the builder can pull. Without one it is made of Debian packages, where
    that is possible, else from the official image of Python.

    Raises:
        Lacking: it has to be built, and what builds images or the network is missing.
        Failed: the build failed.
    """
    dockerfile = _PARTS / "python.Dockerfile"
    debian = base is None and os.geteuid() == 0 and shutil.which("mmdebstrap") is not None
    inputs: list[bytes | str] = [f"{base} {debian}", dockerfile.read_bytes()]
    if debian:
        inputs += [(_PARTS / name).read_bytes() for name in ("debian", "debian.Dockerfile")]

    def make(using: Builder, name: str, archive: Path, work: Path) -> None:
        arguments = {} if base is None else {"BASE": base}
        if debian:
            arguments = {"BASE": f"{_REGISTRY}/debian:made"}
            (work / "debian").mkdir()
            bootstrap(*packages(_PARTS / "debian"), work / "debian" / "rootfs.tar", say)
            using.build(_PARTS / "debian.Dockerfile", work / "debian", arguments["BASE"], {}, say)
        (work / "nothing").mkdir()
        using.build(dockerfile, work / "nothing", name, arguments, say)
        using.save(name, archive)

    return cached("python", inputs, make, say)


def build(
    dockerfile: Path,
    context: Path,
    name: str,
    *,
    base: Image,
    say: Say,
    files: Sequence[str] = (".",),
    build_args: Mapping[str, str] | None = None,
    uses: Mapping[str, Image] | None = None,
    target: str = "",
) -> Image:
    """The image of a Dockerfile that takes the name of its base as the build argument BASE; errors as `python_image`.

    `files` says what of the folder `context` the build gets, as git's paths; what git ignores there it does not get.
    `uses` are more images that it takes by name, and `target` is the stage to build if it is not the last.
    """
    images = {**(uses or {}), "BASE": base}
    arguments = {**(build_args or {}), **{argument: image.name for argument, image in images.items()}}
    paths = _files(context, files)
    inputs: list[bytes | str] = [dockerfile.read_bytes(), target, repr(sorted(arguments.items()))]
    for path in paths:
        inputs += [f"{path} {os.access(context / path, os.X_OK)}", (context / path).read_bytes()]

    def make(using: Builder, tag: str, archive: Path, work: Path) -> None:
        for path in paths:
            (work / "context" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(context / path, work / "context" / path)
        for image in images.values():
            using.load(image.name, image.archive)
        using.build(dockerfile, work / "context", tag, arguments, say, target=target)
        using.save(tag, archive)

    return cached(name, inputs, make, say)


def cached(name: str, inputs: Sequence[bytes | str], make: _Make, say: Say) -> Image:
    """The image of that name that `make` makes of these inputs, from the cache if it is there; errors as there."""
    key = cache.key_of([platform.machine(), name, *inputs])
    tag = f"{_REGISTRY}/{name}:{key}"

    def make_entry(into: Path) -> None:
        say(f"Building the image {tag}")
        work = into / "work"
        work.mkdir()
        try:
            with _builder(work) as using:
                make(using, tag, into / f"{name}.tar", work)
        except Failed as failed:
            if failed.no_network is None:
                raise
            raise Lacking([f"the network, as the image {name} must be built ({failed.no_network})"]) from failed
        shutil.rmtree(work)

    return Image(tag, cache.entry("images", key, make_entry, say) / f"{name}.tar")


@contextmanager
def _builder(work: Path) -> Iterator[Builder]:
    using = builder(work)
    if using is None:
        raise Lacking(["Docker, Podman or buildah, as images must be built"])
    try:
        yield using
    finally:
        using.close()


def packages(listed: Path) -> tuple[str, list[str]]:
    """The release of Debian that a file names, and the packages."""
    lines = listed.read_text().splitlines()
    release, *names = [line for line in lines if line and not line.startswith("#")]
    return release, names


def bootstrap(release: str, names: Sequence[str], archive: Path, say: Say, *, variant: str = "minbase") -> None:
    """Put a root file system with these Debian packages into an archive; `extract` has nothing else, and no scripts."""
    command = ["mmdebstrap", f"--variant={variant}", f"--include={','.join(names)}"]
    command += ['--aptopt=Acquire::Languages "none"']
    command += [f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("doc", "locale", "man")]
    command += [release, str(archive)]
    run(apart(command), f"Debian {release}", say, env={**os.environ, "TMPDIR": str(archive.parent)})


def _files(context: Path, paths: Sequence[str]) -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, cwd=context, check=True, capture_output=True, text=True).stdout
    return sorted(path for path in set(listed.split("\0")) if path and (context / path).is_file())
