"""What an image holds: its layers, as its archive has them, each with its files."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.images import Image

__all__ = ["Layer", "Layers"]


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


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()
