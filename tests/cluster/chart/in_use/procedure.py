"""The commands that a page shows, done as somebody does them who reads it: in a shell, from top to bottom."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

from ..release import Release

__all__ = ["Procedure"]

_ROOT = Path(__file__).resolve().parents[4]
_PATIENCE = 120  # seconds for a command


class Procedure:
    """What is under the headings of a page, for a release in the current namespace; files stay in `folder`."""

    def __init__(self, page: str, release: Release, folder: Path) -> None:
        self._sections = dict(re.findall(r"(?ms)^## (.*?)\n(.*?)(?=^## |\Z)", (_ROOT / page).read_text()))
        self._kubectl = release.cluster.kubectl
        self._folder = folder
        self._kubeconfig = folder / "kubeconfig"
        self._kubeconfig.write_text(release.kubectl("config", "view", "--flatten", "--raw"))
        self.do(f"kubectl config set-context --current --namespace={release.namespace}")

    def commands(self, heading: str) -> list[str]:
        """The commands under a heading. What is indented goes on with the line before it."""
        (block,) = re.findall(r"(?ms)^```console\n(.*?)^```$", self._sections[heading])
        return re.findall(r"(?m)^\$ (.*(?:\n    .*)*)", block)

    def follow(self, heading: str) -> str:
        """Do all of them; what they printed."""
        return "".join(map(self.do, self.commands(heading)))

    def do(self, command: str) -> str:
        """Do one of them; what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'kubectl() {{ {shlex.quote(self._kubectl)} "$@"; }}\n{command}'],
            cwd=self._folder,
            env={**os.environ, "KUBECONFIG": str(self._kubeconfig)},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout
