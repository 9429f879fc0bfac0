"""pytest as a process of its own, on one small test file with the fixtures of this folder.

Nothing around it chooses its cluster, and no container engine answers it unless a test puts one there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.harness.processes import Child, Children

__all__ = ["ChildPytest"]

_TREE = Path(__file__).resolve().parents[2]
_UNSET = {"PERDURE_TEST_KIND": None, "PERDURE_TEST_KUBECONFIG": None, "PYTEST_ADDOPTS": None, "CI": None}
_SILENT = "#!/bin/sh\nexit 1\n"


class ChildPytest:
    """Starts such processes; file and programs are in `folder`."""

    def __init__(self, children: Children, folder: Path, tests: str) -> None:
        self._children = children
        self._tests = folder / "test_of_a_child.py"
        self._tests.write_text(tests)
        self._programs = folder / "bin"
        self._programs.mkdir()
        self.put(docker=_SILENT, podman=_SILENT)  # so kind, if it is there, is of no use

    def put(self, **programs: str) -> None:
        """Put scripts on their PATH, before the programs of this machine."""
        for name, text in programs.items():
            (self._programs / name).write_text(text)
            (self._programs / name).chmod(0o755)

    def start(self, *options: str, before: Sequence[str] = (), **env: str | None) -> Child:
        """Start one, with options of pytest's, by the command `before`, with variables of its own."""
        fixed = ["-p", "tests.cluster.conftest", "-c", str(_TREE / "pyproject.toml"), "--rootdir", str(_TREE)]
        fixed += ["-p", "no:cacheprovider"]
        command = [*before, sys.executable, "-m", "pytest", *fixed, *options, str(self._tests)]
        path = f"{self._programs}:{os.environ['PATH']}"
        return self._children.start(command, env={**_UNSET, "PATH": path, **env}, cwd=_TREE)
