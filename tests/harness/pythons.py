"""The Python versions of this machine, and for each an environment in which the source tree runs.

An environment holds the base install and the test tools, as requirements/test.txt locks them, and this checkout. It is
kept in the user's cache folder, one for each lock, version and checkout, and made under a file lock, so that any
number of test processes may ask for it at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .cache import home, key_of, locked

__all__ = ["pythons", "venv_for"]

OLDEST = (3, 11)

_TREE = Path(__file__).resolve().parents[2]
_LOCK = _TREE / "requirements" / "test.txt"
_PROBE = (
    "import ensurepip, platform, sys, venv;"
    "print(platform.python_implementation(), *sys.version_info[:3], getattr(sys, '_base_executable', sys.executable))"
)
_WORKS = "import hypothesis, psycopg, pydantic, pytest; from perdure import errors"


class _Found(NamedTuple):
    version: tuple[int, int, int]
    executable: Path


@cache
def pythons() -> list[Path]:
    """Every CPython from 3.11 on that runs here, oldest first, one for each minor version.

    For its own minor version that is the interpreter of this process, for the others the newest patch release found.
    """
    own = _probe(sys.executable)
    best = {own.version[:2]: own} if own else {}
    for candidate in _candidates():
        found = _probe(candidate)
        if found is None or (own and found.version[:2] == own.version[:2]):
            continue
        known = best.get(found.version[:2])
        if known is None or known.version < found.version:
            best[found.version[:2]] = found
    return [best[minor].executable for minor in sorted(best)]


@cache
def venv_for(python: Path) -> Path:
    """The environment of this checkout for `python`, made if it is not there or does not work; its root folder.

    Raises:
        RuntimeError: it cannot be made; the message holds what pip said.
    """
    found = _probe(python)
    if found is None:
        raise RuntimeError(f"{python} is no CPython {OLDEST[0]}.{OLDEST[1]} or newer that runs")
    key = key_of([_LOCK.read_bytes(), os.fsencode(_TREE), os.fsencode(found.executable)])
    venv = home() / f"{found.version[0]}.{found.version[1]}-{key}"
    with locked(venv.parent / f"{venv.name}.lock"):
        if not _works(venv):
            _make(venv, found.executable)
    return venv


def _candidates() -> Iterator[str | Path]:
    names = [f"python3.{minor}" for minor in range(OLDEST[1], OLDEST[1] + 10)]
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        yield from (Path(folder) / name for name in ["python3", *names] if (Path(folder) / name).is_file())
    root = os.environ.get("PYENV_ROOT")
    if not root and shutil.which("pyenv"):
        root = _output(["pyenv", "root"])
    if root:
        yield from sorted(Path(root).glob("versions/*/bin/python3"))


@cache
def _probe(python: str | Path) -> _Found | None:
    # A version manager's shim stands on PATH for versions that are not selected, too: only running it tells.
    words = (_output([str(python), "-I", "-c", _PROBE]) or "").split(maxsplit=4)
    if len(words) != 5 or words[0] != "CPython":
        return None
    version = (int(words[1]), int(words[2]), int(words[3]))
    return _Found(version, Path(words[4])) if version >= OLDEST else None


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _works(venv: Path) -> bool:
    return _output([str(venv / "bin" / "python"), "-I", "-c", _WORKS]) is not None


def _make(venv: Path, python: Path) -> None:
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    for command in (
        [str(python), "-m", "venv", "--clear", str(venv)],
        [*pip, "--require-hashes", "--only-binary=:all:", "--requirement", str(_LOCK)],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", str(_TREE)],
    ):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
