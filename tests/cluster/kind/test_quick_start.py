"""The quick start, word for word, on a kind cluster of its own: what a new user does first."""

from __future__ import annotations

import json
import os
import re
import shlex
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from secrets import token_hex

import pytest

from tests.cluster.built.binaries import HELM, binaries, program
from tests.cluster.environment import KIND
from tests.cluster.images import Image
from tests.cluster.off_the_clock import off_the_clock
from tests.cluster.product.image import perdure_images

from .cluster import some_engine, write_settings
from .engines import Enclosed, Engine

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(KIND not in os.environ, reason="only where kind is asked for: make test-kind"),
]

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "docs/quick-start.sh"
VERSION = "0.1.0"


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """By what kind runs; all that it made is gone with the test."""
    with off_the_clock(request):
        opened = some_engine(print)
        engine = opened.__enter__()
    yield engine
    opened.__exit__(None, None, None)


def test_the_quick_start_as_its_script_has_it(engine: Engine, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with off_the_clock(request):
        for each in (program(HELM, print), binaries(print) / "kubectl"):
            (tmp_path / each.name).symlink_to(each)
        given = {}
        if isinstance(engine, Enclosed):
            images = perdure_images(print)
            for image, name in ((images.operator, "perdure"), (images.runtime, "perdure-runtime")):
                named(image, f"{name}:{VERSION}", tmp_path / f"{name}.tar")
            given["IMAGE_ARCHIVES"] = str(tmp_path)
            given["KIND_CONFIG"] = str(write_settings(engine, tmp_path, ["control-plane"]))
    environment = {
        **given,
        "KIND_CLUSTER_NAME": f"perdure-{token_hex(3)}",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}:{engine.path}",
        "CI": "true",
    }
    try:
        printed = engine.run("sh", "-c", f"cd {shlex.quote(str(ROOT))} && {SCRIPT}", environment=environment)
    finally:
        engine.run("kind", "delete", "cluster", environment=environment)
    print(printed)
    assert "It was killed in its second step and went on from there" in printed
    [result] = re.findall(r'(?m)^\["15: attempt 1".*?\]', printed)
    attempts = [int(line.rpartition(" ")[2]) for line in json.loads(result)]
    assert (len(attempts), attempts[0], attempts[-1]) == (15, 1, 2)
    for event in ("Started", "Disrupted", "Resumed", "Succeeded"):
        assert f" {event} " in printed


def named(image: Image, name: str, archive: Path) -> Path:
    """The image under another name."""
    with tarfile.open(image.archive) as read, tarfile.open(archive, "w") as written:
        for member in read:
            content = read.extractfile(member)
            if member.name == "repositories":
                continue
            if member.name == "manifest.json":
                assert content
                [manifest] = json.load(content)
                changed = json.dumps([{**manifest, "RepoTags": [f"docker.io/library/{name}"]}]).encode()
                member.size, content = len(changed), BytesIO(changed)
            written.addfile(member, content)
    return archive
