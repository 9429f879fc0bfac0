"""What is in the product's image, and what is not: no compiler, nothing that a package manager left behind."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.built.prerequisites import Lacking
from tests.cluster.images import python_image
from tests.cluster.product.image import perdure_image
from tests.cluster.product.layers import Layer, Layers
from tests.harness.unavailable import unavailable
from tests.harness.workspace import Workspace

pytestmark = pytest.mark.timeout(600)

MEGABYTE = 1_000_000
COMPILERS = re.compile(r"(?:^|/)s?bin/(?:[\w-]*-)?(?:as|cc|c\+\+|clang|cpp|g\+\+|gcc|go|ld|make|rustc)[\d.-]*$")
LEFT_BEHIND = re.compile(r"(?:^|/)(?:\.cache|pip|pip[\d.]*|setuptools|uv|wheel)(?:/|$)|\.(?:deb|whl)$")


@pytest.fixture(scope="module")
def image() -> Layers:
    try:
        return Layers(perdure_image(print))
    except Lacking as lacking:
        unavailable(str(lacking))


@pytest.fixture(scope="module")
def ours(image: Layers) -> list[Layer]:
    """The layers that the Dockerfile lays over the base."""
    below = set(Layers(python_image(print)).ids)
    return [layer for layer in image if layer.id not in below]


@pytest.fixture(scope="module")
def root(image: Layers) -> Iterator[Path]:
    """The image's root file system."""
    with Workspace() as workspace:
        folder = workspace.new_folder("root")
        image.unpack(folder)
        yield folder


def test_it_runs_as_a_number_that_is_not_root(image: Layers) -> None:
    user, _, group = image.config["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert not [name for name in image.config["Env"] if re.match("(?i).*(password|secret|token)", name)]


def test_over_its_base_there_is_the_product_and_nothing_else(ours: list[Layer]) -> None:
    # Builders leave empty files where they mounted something while they built.
    files = {path for layer in ours for path, entry in layer.entries.items() if entry.size or entry.issym()}
    assert any(path.endswith("site-packages/perdure/__init__.py") for path in files)
    others = {path for path in files if not path.startswith("opt/perdure/")}
    compiled = {path for path in others if re.fullmatch(r"usr/(?:local/)?lib/python3[\d.]*/.*\.pyc", path)}
    assert others - compiled == {"etc/passwd", "etc/group"}


def test_nothing_of_it_can_be_changed_by_its_user(ours: list[Layer]) -> None:
    entries = [entry for layer in ours for path, entry in layer.entries.items() if path.startswith("opt/perdure/")]
    assert {(entry.uid, entry.gid) for entry in entries} == {(0, 0)}
    assert [entry.name for entry in entries if not entry.issym() and entry.mode & 0o022] == []
    assert [entry.name for layer in ours for entry in layer.entries.values() if entry.mode & 0o6000] == []


def test_there_is_no_compiler_and_nothing_left_of_its_building(image: Layers, ours: list[Layer]) -> None:
    everything = {path for layer in image for path in layer.entries}
    assert {path for path in everything if COMPILERS.search(path)} == set()
    of_ours = {path for layer in ours for path, entry in layer.entries.items() if not entry.isdir()}
    # The base may have a pip; none of ours comes with it.
    assert {path for path in of_ours if LEFT_BEHIND.search(path)} == set()
    folders = ("build/", "root/", "tmp/", "var/")
    assert {path for path in of_ours if path.startswith(folders)} == set()


def test_what_it_imports_is_compiled_and_what_it_does_not_is_not(image: Layers, ours: list[Layer]) -> None:
    # The standard library may come compiled with the base.
    everything = {path for layer in image for path in layer.entries}
    assert any(re.search(r"python3[\d.]*/asyncio/__pycache__/base_events\.[\w-]+\.pyc$", path) for path in everything)
    paths = [path for layer in ours for path in layer.entries if path.endswith(".pyc")]
    compiled = {match[1] for path in paths if (match := re.search(r"site-packages/(\w+)/", path))}
    assert {"kopf", "perdure", "perdure_operator", "psycopg", "pydantic"} <= compiled
    assert [path for path in paths if "/client/models/" in path] == []


def test_it_is_as_small_as_the_documents_say(ours: list[Layer]) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "security.md"
    said = re.search(r"(\d+) MB over its base", page.read_text())
    assert said is not None
    assert sum(layer.size for layer in ours) / MEGABYTE == pytest.approx(int(said[1]), rel=0.05)


@pytest.mark.needs("unshare", "chroot")
@pytest.mark.parametrize(
    "command", [["perdure", "--help"], ["perdure-operator", "--help"], ["python3", "-c", "import perdure.cli.exec"]]
)
def test_it_works_as_its_user_on_a_root_that_cannot_be_written(root: Path, image: Layers, command: list[str]) -> None:
    done = _run(root, image, command)
    assert done.returncode == 0, done.stderr
    refused = _run(root, image, ["python3", "-c", "open('/opt/perdure/new', 'w')"])
    assert "Read-only file system" in refused.stderr


def _run(root: Path, image: Layers, command: list[str]) -> subprocess.CompletedProcess[str]:
    """In the image's root, with mounts of its own, as a container with a read-only root has them."""
    mounts = f"mount --bind {root} {root} && mount -o remount,bind,ro {root}"
    script = f'{mounts} && exec chroot --userspec="$1" {root} "${{@:2}}"'
    environment = dict(variable.split("=", 1) for variable in image.config["Env"])
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "-", image.config["User"], *command],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
