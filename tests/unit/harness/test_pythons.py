from __future__ import annotations

import subprocess
import sys

import pytest

from tests.harness import pythons as module
from tests.harness.pythons import pythons


@pytest.fixture
def fresh():
    """Nothing remembered from other tests, and nothing of this one afterwards."""
    caches = (module.pythons, module._probe)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def version(python):
    code = "import sys; print(*sys.version_info[:2])"
    return tuple(map(int, subprocess.check_output([python, "-c", code], text=True).split()))


def test_finds_one_python_of_each_minor_version_oldest_first():
    versions = [version(python) for python in pythons()]
    assert versions == sorted(set(versions))
    assert min(versions) >= (3, 11)
    assert sys.version_info[:2] in versions


def test_passes_over_what_does_not_run_or_is_no_python(tmp_path, monkeypatch, fresh):
    for name, text in {"python3.13": "exit 1", "python3.14": "echo CPython 3 14 0", "python3.15": "echo"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    assert [version(python) for python in pythons()] == [sys.version_info[:2]]


def test_finds_pythons_below_pyenv_root(tmp_path, monkeypatch, fresh):
    (tmp_path / "versions" / "9.99.0" / "bin").mkdir(parents=True)
    python = tmp_path / "versions" / "9.99.0" / "bin" / "python3"
    python.write_text(f"#!/bin/sh\necho CPython 9 99 0 {python}\n")
    python.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert pythons()[-1] == python
