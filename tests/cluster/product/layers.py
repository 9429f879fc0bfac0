"""What an image holds: its layers, as its archive has them, each with its files."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.images import Image

__all__ = ["Layer", "Layers"]

_WHITEOUT = ".wh."
"""Begins the name of an entry which says that what has the rest of the name is gone from the layers beneath."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its id, and its entries by their paths, without a leading slash."""

    id: str
    entries: dict[str, tarfile.TarInfo]

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(entry.size for entry in self.entries.values())


class Layers:
    """The layers of an image, lowest first, and how it is run."""

    def __init__(self, image: Image) -> None:
        self._archive = image.archive
        with tarfile.open(image.archive) as archive:
            (described,) = json.loads(_read(archive, "manifest.json"))
            about = json.loads(_read(archive, described["Config"]))
        self.config: dict[str, Any] = about["config"]
        self._files: list[str] = described["Layers"]
        self.ids: list[str] = about["rootfs"]["diff_ids"]

    def __iter__(self) -> Iterator[Layer]:
        with tarfile.open(self._archive) as archive:
            for identifier, file in zip(self.ids, self._files, strict=True):
                with tarfile.open(fileobj=archive.extractfile(file)) as layer:
                    yield Layer(identifier, {entry.name.lstrip("./"): entry for entry in layer if entry.name != "."})

    def unpack(self, folder: Path) -> None:
        """Make a root file system of them."""
        with tarfile.open(self._archive) as archive:
            for file in self._files:
                with tarfile.open(fileobj=archive.extractfile(file)) as layer:
                    layer.extractall(folder, filter="fully_trusted")
                    for entry in layer:
                        _take_away(folder / entry.name)


def _take_away(entry: Path) -> None:
    """If an entry is a whiteout, take it and what it is about out of the root file system."""
    if not entry.name.startswith(_WHITEOUT):
        return
    gone = entry.with_name(entry.name.removeprefix(_WHITEOUT))
    entry.unlink()
    if gone.is_dir() and not gone.is_symlink():
        shutil.rmtree(gone)
    else:
        gone.unlink(missing_ok=True)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()
