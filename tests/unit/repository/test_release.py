"""What `make release` refuses, and what it makes of the chart; tests/integration/release has the rest."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def release() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their types
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("part", ["build", "publish"])
@pytest.mark.parametrize("base", ["", "python:3.13-slim-bookworm", "python@sha256:0123", f"@{DIGEST}", f"{DIGEST}"])
def test_a_base_that_may_move_is_refused(release: ModuleType, part: str, base: str, tmp_path: Path, capsys) -> None:
    assert release.main([part, str(tmp_path), f"--base={base}", "--to=localhost:1/x"]) == 64
    assert "is no image by its digest" in capsys.readouterr().err


def test_the_registry_must_be_named(release: ModuleType, tmp_path: Path, capsys) -> None:
    assert release.main(["publish", str(tmp_path), f"--base=python:3.13@{DIGEST}"]) == 64
    assert "--to: name the registry" in capsys.readouterr().err


def test_the_chart_names_the_released_images_and_is_the_same_otherwise(release: ModuleType) -> None:
    text = (ROOT / "charts" / "perdure" / "values.yaml").read_text()
    other = f"sha256:{'1' * 64}"
    images = {"perdure": f"r.example/x/perdure@{DIGEST}", "perdure-runtime": f"r.example/x/perdure-runtime@{other}"}
    before, after = yaml.safe_load(text), yaml.safe_load(release.naming(images, text))
    before["image"] |= {"repository": "r.example/x/perdure", "digest": DIGEST}
    before["workflows"]["image"] |= {"repository": "r.example/x/perdure-runtime", "digest": other}
    assert after == before
    with pytest.raises(release.Refused):
        release.naming(images, "image: {}")


def test_each_image_is_a_stage_of_the_dockerfile(release: ModuleType) -> None:
    stages = re.findall(r"(?m)^FROM \S+(?: AS (\S+))?$", (ROOT / "Dockerfile").read_text())
    assert {stage for stage in release.IMAGES.values() if stage} <= set(stages)
    assert stages[-1] == ""
