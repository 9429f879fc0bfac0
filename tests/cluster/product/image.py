"""The product's image, built from its Dockerfile."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.images import Image, build, python_image
from tests.harness.cache import Say

__all__ = ["perdure_image"]

_TREE = Path(__file__).resolve().parents[3]
_LOCKS = ["requirements/build.txt", "requirements/image.txt"]
_SOURCES = ["LICENSE", "README.md", "operator", "pyproject.toml", "runtime"]


def perdure_image(say: Say) -> Image:
    """The image of this checkout; what it depends on is installed anew only when that changes. Errors as `build`."""
    dockerfile, base = _TREE / "Dockerfile", python_image(say)
    dependencies = build(
        dockerfile, _TREE, "perdure-dependencies", base=base, files=_LOCKS, target="dependencies", say=say
    )
    uses = {"DEPENDENCIES": dependencies}
    return build(dockerfile, _TREE, "perdure", base=base, files=[*_LOCKS, *_SOURCES], uses=uses, say=say)
