"""What the repository must not hold, and what its distribution must."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RUNTIME = ROOT / "runtime"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


TOP = {
    *("CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "Makefile", "README.md", "SECURITY.md"),
    *(".ci", ".gitignore", "pyproject.toml"),
    *("benchmarks", "charts", "crds", "docs", "examples", "operator", "requirements", "runtime", "tests"),
}


def test_the_top_level_is_what_a_newcomer_is_told():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert {file.split("/")[0] for file in files} == TOP


def test_operator_folder_does_not_shadow_the_standard_library():
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_pins_with_hashes_and_names_no_host_and_no_path(lock):
    text = lock.read_text()
    pins = re.findall(r"(?m)^[\w.-]+==[^\\]+\\\n    --hash=sha256:", text)
    assert len(pins) == len(re.findall(r"(?m)^\w", text)) > 0
    assert not re.search(r"://|--(?:extra-)?index-url|--find-links|(?m:^| |@)/", text)


def test_every_folder_of_the_library_is_a_package():
    # Alembic loads the files of its migrations by path.
    folders = {path.parent for path in RUNTIME.glob("perdure/*/**/*.py") if "migrations" not in path.parts}
    assert sorted(folder for folder in folders if not (folder / "__init__.py").is_file()) == []


def test_wheel_holds_every_file_of_the_library(wheel_names):
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "perdure"],
        cwd=RUNTIME,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert "perdure/py.typed" in tracked
    assert {name for name in tracked if (RUNTIME / name).is_file()} - wheel_names == set()


def test_wheel_holds_nothing_else(wheel_names):
    assert {name.split("/")[0] for name in wheel_names} == {"perdure", "perdure-0.1.0.dist-info", "perdure_operator"}
