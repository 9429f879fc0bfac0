"""The licences of the Python packages in the image, from the metadata that each of them brings."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Final

__all__ = ["ALLOWED", "licences", "table"]

_LOCK: Final = Path(__file__).resolve().parents[1] / "requirements" / "image.txt"

ALLOWED: Final = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only", "MIT", "MPL-2.0", "PSF-2.0"}
)
"""What the image may hold: a work of any licence may use these, as long as they stay as they are."""

_SPDX: Final = {"Apache 2.0": "Apache-2.0", "MIT License": "MIT"}
"""What packages say that do not speak SPDX yet."""


def licences() -> dict[str, tuple[str, str]]:
    """Version and licence, as SPDX has it, of each package that the image is built from.

    Raises:
        ValueError: a package is not installed here in that version, or tells no licence.
    """
    found = {}
    for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;\\]+)", _LOCK.read_text()):
        metadata = importlib.metadata.metadata(name)
        if metadata["Version"] != version:
            raise ValueError(f"{name} {version} is locked, and {metadata['Version']} is installed")
        told = _told(metadata)
        if not told:
            raise ValueError(f"{name} {version} tells no licence")
        found[name] = version, _SPDX.get(told, told)
    return found


def _told(metadata: importlib.metadata.PackageMetadata) -> str:
    """In the field for it, in the older one, or in the oldest way, by a classifier."""
    classifiers = [one for one in metadata.get_all("Classifier") or () if one.startswith("License ::")]
    oldest = "".join(classifiers).rpartition(":: ")[2]
    return next((metadata[name] for name in ("License-Expression", "License") if name in metadata), oldest)


def table() -> str:
    """One line for each package; raises as `licences`."""
    rows = "".join(f"| {name} | {version} | {licence} |\n" for name, (version, licence) in licences().items())
    return f"| package | version | licence |\n| --- | --- | --- |\n{rows}"
