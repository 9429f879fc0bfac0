"""The product's images, built from its Dockerfile, and one as users build them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.images import Image, build, python_image
from tests.harness.cache import Say

__all__ = ["ProductImages", "own_image", "perdure_images"]

_TREE = Path(__file__).resolve().parents[3]
_DOCKERFILE = _TREE / "Dockerfile"
_LOCKS = [f"requirements/{name}.txt" for name in ("build", "image", "runtime")]
_SOURCES = ["LICENSE", "README.md", "operator", "pyproject.toml", "runtime"]
_OWN = "tests/cluster/product/own_image"


@dataclass(frozen=True, slots=True)
class ProductImages:
    """That of the operator and the chart's own Postgres, and that of the pods of Workflows."""

    operator: Image
    runtime: Image

    def __iter__(self) -> Iterator[Image]:
        return iter((self.operator, self.runtime))


def perdure_images(say: Say) -> ProductImages:
    """The images of this checkout; what they depend on is installed anew only when that changes. Errors as `build`."""
    return ProductImages(_product("perdure", "", say), _product("perdure-runtime", "runtime", say))


def own_image(say: Say) -> Image:
    """The image of a user who has a package `bakery`, and Perdure from its wheel; errors as `build`."""
    base, uses = python_image(say), {"TOOLS": _dependencies(say)}
    files = [*_LOCKS, *_SOURCES, f"{_OWN}/bakery"]
    return build(_TREE / _OWN / "Dockerfile", _TREE, "own", base=base, files=files, uses=uses, say=say)


def _product(name: str, target: str, say: Say) -> Image:
    base, uses = python_image(say), {"DEPENDENCIES": _dependencies(say)}
    files = [*_LOCKS, *_SOURCES]
    return build(_DOCKERFILE, _TREE, name, base=base, files=files, uses=uses, target=target, say=say)


def _dependencies(say: Say) -> Image:
    base = python_image(say)
    return build(_DOCKERFILE, _TREE, "perdure-dependencies", base=base, files=_LOCKS, target="dependencies", say=say)
