"""`python -m tests.cluster up`, `down` and `shell`: the built cluster for a person.

Standard output holds what a shell may evaluate; what goes on is told on standard error.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.harness import cache

from .built.binaries import binaries
from .built.cluster import lasting_cluster
from .built.enclosure import Enclosure, find, sweep
from .built.prerequisites import Lacking

__all__ = ["down", "shell", "up"]

_NAME = os.environ.get("PERDURE_TEST_CLUSTER", "up")  # by other names there may be more of them


def up() -> int:
    """Start a cluster of two nodes that stays up, and print how to reach it."""
    if not _root("A cluster is built"):
        return 1
    with cache.locked(cache.home() / f"cluster-{_NAME}.lock", waiting=lambda: _say("Another is starting it: waiting")):
        if enclosure := find(_NAME):
            _say("The cluster is up already")
        else:
            try:
                enclosure = lasting_cluster(_NAME, _say).enclosure
            except Lacking as lacking:
                return _failed(f"No cluster here: missing is {'; '.join(lacking.lacks)}.")
            except RuntimeError as error:
                return _failed(f"The cluster does not come up: {error}")
            enclosure.stay()
    environment = _environment(enclosure)
    if subprocess.run(["kubectl", "get", "nodes"], env=environment, stdout=sys.stderr, check=False).returncode:
        return _failed("The cluster does not answer: make cluster-down cluster-up")
    print(f"export KUBECONFIG={environment['KUBECONFIG']}")
    return 0


def down() -> int:
    """End the cluster, if it is up."""
    if not _root("A cluster is ended"):
        return 1
    if enclosure := find(_NAME):
        try:
            enclosure.end()
        except RuntimeError as error:
            return _failed(str(error))
    else:
        _say("No cluster is up")
        sweep()
    return 0


def shell() -> int:
    """Start a shell in which kubectl talks to the cluster."""
    if not _root("A cluster is used"):
        return 1
    if not (enclosure := find(_NAME)):
        return _failed("No cluster is up: make cluster-up")
    return subprocess.run([os.environ.get("SHELL") or "/bin/sh"], env=_environment(enclosure), check=False).returncode


def _environment(enclosure: Enclosure) -> dict[str, str]:
    return {
        **os.environ,
        "KUBECONFIG": str(_kubeconfig(enclosure)),
        "KUBECACHEDIR": str(enclosure.folder / "kubectl"),
        "PATH": f"{binaries(_say)}:{os.environ.get('PATH', os.defpath)}",
    }


def _kubeconfig(enclosure: Enclosure) -> Path:
    return enclosure.folder / "certificates" / "admin.kubeconfig"


def _root(what: str) -> bool:
    if os.geteuid() == 0:
        return True
    _say(f"{what} by root alone.")
    return False


def _failed(why: str) -> int:
    _say(why)
    return 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
