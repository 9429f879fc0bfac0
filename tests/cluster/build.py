"""`python -m tests.cluster build`: what the cluster of the tests is made of, made ahead, so that one sees it happen."""

from __future__ import annotations

import os
import sys

from tests.cluster.built import prerequisites
from tests.cluster.built.binaries import HELM, KSTATUS, KUBE_SCORE, KUBERNETES_VERSION, PROMTOOL, binaries, program
from tests.cluster.environment import KIND, KUBECONFIG
from tests.cluster.images import Image, python_image
from tests.cluster.kind.cluster import engine, prepared
from tests.cluster.kind.programs import KIND_VERSION
from tests.cluster.progress import Failed

__all__ = ["build"]


def build() -> int:
    """Build what the cluster is made of, where the cache does not have it."""
    try:
        if given := os.environ.get(KUBECONFIG):
            _say(f"The tests use the cluster of {given}: nothing to build for it")
        elif os.environ.get(KIND):
            using = prepared(_say)
            python_image(_say)
            image = f"a node image of our own, {using.name}" if isinstance(using, Image) else "its own node image"
            _say(f"The tests use kind {KIND_VERSION} with {image}; the images for it are built")
        elif engine():
            python_image(_say)
            _say("The tests use kind; the images for it are built")
        else:
            prerequisites.check()
            binaries(_say)
            python_image(_say)
            _say(f"Kubernetes {KUBERNETES_VERSION} and the images for it are built")
        for module in (HELM, KUBE_SCORE, PROMTOOL, KSTATUS):
            if prerequisites.go_lack(module.folder) is None:  # else the tests that use it say so
                program(module, _say)
    except prerequisites.Lacking as lacking:
        print(lacking, file=sys.stderr)
        return int(os.environ.get("CI", "").lower() == "true")
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
