"""`make cluster-up`, `-down` and `-shell`: the built cluster for a person."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from .built.binaries import binaries
from .built.cluster import lasting_cluster
from .built.enclosure import Enclosure, find, sweep

__all__ = ["down", "shell", "up"]

_NAME = "up"


def up(_: Namespace) -> int:
    """Start the cluster and say how to reach it; where it is up already, just say it."""
    if not (enclosure := find(_NAME)):
        enclosure = lasting_cluster(_NAME, _say).enclosure
        subprocess.run([*_kubectl(enclosure), "get", "nodes"], check=True)
    print(f"export KUBECONFIG={_kubeconfig(enclosure)}")
    return 0


def down(_: Namespace) -> int:
    """End the cluster, if it is up."""
    if enclosure := find(_NAME):
        enclosure.end()
    sweep()
    return 0


def shell(_: Namespace) -> int:
    """A shell in which kubectl is the cluster's, and knows it."""
    if not (enclosure := find(_NAME)):
        print("No cluster is up: make cluster-up", file=sys.stderr)
        return 1
    path = f"{binaries(_say)}:{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "KUBECONFIG": str(_kubeconfig(enclosure)), "PATH": path}
    return subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=environment, check=False).returncode


def _kubeconfig(enclosure: Enclosure) -> Path:
    return enclosure.folder / "certificates" / "admin.kubeconfig"


def _kubectl(enclosure: Enclosure) -> list[str]:
    return [str(binaries(_say) / "kubectl"), f"--kubeconfig={_kubeconfig(enclosure)}"]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
