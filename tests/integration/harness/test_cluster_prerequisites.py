from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.built import prerequisites
from tests.cluster.image_builders import engine

TREE = Path(__file__).resolve().parents[3]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder that is the whole PATH, and a way to put a shell script into it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prerequisites, "_PATH", str(tmp_path))

    def put(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return put


def test_packages_are_missed_by_name(programs, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for program in ("buildah", "conntrack", "containerd", "ip", "iptables", "runc", "unshare"):
        programs(program, "")
    (lack,) = prerequisites.lacks()
    assert lack in {
        "the Debian package mmdebstrap",
        "the Debian packages containernetworking-plugins, mmdebstrap",  # where the plugins are not there, either
    }


def test_who_is_not_root_is_told(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert prerequisites.lacks()[0] == "root"
    with pytest.raises(prerequisites.Lacking, match=r"^No cluster here, .* tested: missing is root.*\.$"):
        prerequisites.check()


def test_namespaces_that_are_refused_are_missed(programs, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "_packages", lambda _: [])
    programs("unshare", "echo unshare failed: Operation not permitted >&2; exit 1")
    assert prerequisites.lacks()[0] == (
        "namespaces for processes, mounts and networks (unshare failed: Operation not permitted)"
    )


@pytest.mark.parametrize(
    ("docker", "podman", "which"),
    [
        ("exit 1", None, None),
        ("exit 0", "exit 0", "docker"),
        ("exit 1", "exit 0", "podman"),
        (None, "exit 0", "podman"),
        (None, None, None),
    ],
)
def test_an_engine_counts_if_it_answers(programs, docker, podman, which):
    for name, script in {"docker": docker, "podman": podman}.items():
        if script is not None:
            programs(name, script)
    assert engine() == which


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_packages_that_cannot_be_installed_are_named_with_what_is_not_tested(tmp_path, ci, code):
    for name in ("bash", "dirname", "grep", "id"):  # and no apt-get
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    script = [tmp_path / "bash", TREE / ".ci" / "system-packages"]
    done = subprocess.run(script, env={"PATH": str(tmp_path), "CI": ci}, capture_output=True, text=True, check=False)
    (line,) = (line for line in done.stderr.splitlines() if "a cluster" in line)
    assert "mmdebstrap" in line
    assert line.endswith(". Not tested is what runs on a cluster built here.")
    assert done.returncode == code
