"""Helm, as a person runs it: the pinned one, with folders of its own for what it keeps."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.api import Json
from tests.cluster.built.binaries import HELM, Module, program
from tests.cluster.built.prerequisites import Lacking
from tests.harness.cache import Say
from tests.harness.unavailable import unavailable

__all__ = ["CHART", "Helm", "HelmFailed", "tool"]

CHART = Path(__file__).resolve().parents[2] / "charts" / "perdure"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there


def tool(module: Module, say: Say) -> Path:
    """A program that works on the chart; ends the test where it can be neither found nor built here."""
    try:
        return program(module, say)
    except Lacking as lacking:
        unavailable(f"{module.title}, for which is missing {'; '.join(lacking.lacks)}")


class HelmFailed(Exception):
    """It said no; the message is what it printed."""


class Helm:
    """Works in `folder`, on the cluster of `kubeconfig` if there is one."""

    def __init__(self, folder: Path, say: Say, kubeconfig: Path | None = None) -> None:
        self._program = tool(HELM, say)
        self._folder = folder
        self._objects: dict[str, list[Json]] = {}
        self._environment = {
            **os.environ,
            **{f"HELM_{name}_HOME": str(folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA")},
            # Without one it is not to find somebody's.
            "KUBECONFIG": str(kubeconfig or os.devnull),
        }

    def run(self, *arguments: str) -> str:
        """Run a command; what it printed to standard output.

        Raises:
            HelmFailed: it failed.
        """
        done = subprocess.run(
            [self._program, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise HelmFailed(done.stdout + done.stderr)
        return done.stdout

    def text(
        self, values: Mapping[str, Any], *arguments: str, release: str = "perdure", namespace: str = "here"
    ) -> str:
        """The manifests that a chart of these values has, as `helm template` prints them; errors as `run`."""
        return self.run("template", release, str(CHART), f"--namespace={namespace}", self.values(values), *arguments)

    def objects(self, values: Mapping[str, Any], *arguments: str, **where: str) -> list[Json]:
        """The same as objects, which are not to be changed: who asks for the same again gets the same."""
        asked = json.dumps([values, arguments, where], sort_keys=True)
        if asked not in self._objects:
            text = self.text(values, *arguments, **where)
            self._objects[asked] = [one for one in yaml.load_all(text, _Loader) if one is not None]
        return self._objects[asked]

    def values(self, values: Mapping[str, Any]) -> str:
        """The argument that gives it values."""
        text = json.dumps(values)
        file = self._folder / f"values-{abs(hash(text)):x}.json"
        file.write_text(text)
        return f"--values={file}"
