"""What kind is told, and by which programs; that it does what it is told is for the tests that run on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.built import prerequisites
from tests.cluster.built.prerequisites import Lacking
from tests.cluster.kind import cluster
from tests.cluster.kind.cluster import prepared, write_settings
from tests.cluster.kind.engines import Installed
from tests.cluster.kind.programs import NODE_IMAGE

OFFICIAL = "kindest/node:v1.2.3"


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


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Docker that answers, and pulls what stands in the file that this is."""
    pullable = tmp_path / "pullable"
    pullable.write_text("")
    script = f'#!/bin/sh\ncase "$1 $3" in "info "*) ;; *) grep -qx "${{3:-none}}" {pullable} ;; esac\n'
    (tmp_path / "docker").write_text(script)
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / NODE_IMAGE).write_text(OFFICIAL)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(cluster, "programs", lambda _: tmp_path)
    return pullable


def test_an_engine_that_can_pull_kinds_node_image_runs_it(docker: Path) -> None:
    docker.write_text(f"{OFFICIAL}\n")
    said: list[str] = []
    assert prepared(said.append) == Installed("docker", docker.parent)
    assert said == []


def test_without_a_registry_the_node_image_is_ours(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def lacking(packages: object) -> None:
        asked.append(packages)
        raise Lacking(["the Debian package podman"])

    monkeypatch.setattr(prerequisites, "check", lacking)
    said: list[str] = []
    with pytest.raises(Lacking, match="the Debian package podman"):
        prepared(said.append)
    assert said == [f"docker cannot pull {OFFICIAL}"]
    assert len(asked) == 1
