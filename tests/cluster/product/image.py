"""The product's image, built from its Dockerfile, and one as users build them."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.images import Image, build, python_image
from tests.harness.cache import Say

__all__ = ["own_image", "perdure_image"]

_TREE = Path(__file__).resolve().parents[3]
_DOCKERFILE = _TREE / "Dockerfile"
_LOCKS = ["requirements/build.txt", "requirements/image.txt"]
_SOURCES = ["LICENSE", "README.md", "operator", "pyproject.toml", "runtime"]
_OWN = "tests/cluster/product/own_image"


def perdure_image(say: Say) -> Image:
    """The image of this checkout; what it depends on is installed anew only when that changes. Errors as `build`."""
    base, uses = python_image(say), {"DEPENDENCIES": _dependencies(say)}
    return build(_DOCKERFILE, _TREE, "perdure", base=base, files=[*_LOCKS, *_SOURCES], uses=uses, say=say)


def own_image(say: Say) -> Image:
    """The image of a user who has a package `bakery`, and Perdure from its wheel; errors as `build`."""
    base, uses = python_image(say), {"TOOLS": _dependencies(say)}
    files = [*_LOCKS, *_SOURCES, f"{_OWN}/bakery"]
    return build(_TREE / _OWN / "Dockerfile", _TREE, "own", base=base, files=files, uses=uses, say=say)


def _dependencies(say: Say) -> Image:
    base = python_image(say)
    return build(_DOCKERFILE, _TREE, "perdure-dependencies", base=base, files=_LOCKS, target="dependencies", say=say)
