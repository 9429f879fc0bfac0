"""What kind is told, and by which programs; that it does what it is told is for the tests that run on it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.kind.cluster import write_settings
from tests.cluster.kind.engines import Installed


def test_an_installed_engine_gets_kinds_own_defaults_on_three_nodes(tmp_path: Path) -> None:
    told = json.loads(write_settings(Installed("docker"), tmp_path).read_text())
    assert told == {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane"}, {"role": "worker"}, {"role": "worker"}],
    }


def test_a_kind_that_is_installed_comes_before_ours(tmp_path: Path) -> None:
    for folder in ("theirs", "ours"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "kind").write_text(f"#!/bin/sh\necho {folder} $KIND_EXPERIMENTAL_PROVIDER $1\n")
        (tmp_path / folder / "kind").chmod(0o755)
    installed = Installed("docker", tmp_path / "ours")
    assert installed.run("kind", "version") == "ours docker version\n"
    path = f"{tmp_path / 'theirs'}:{installed.path}"
    assert installed.run("kind", "version", environment={"PATH": path}) == "theirs docker version\n"
