"""The kernel's count of out-of-memory kills is found where a container has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.pod.cgroup import out_of_memory_kills

EVENTS = "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 0\n"


@pytest.mark.parametrize("path", ["/", "/kubepods/pod1/workflow"])
def test_the_count_of_the_own_group(tmp_path: Path, path: str):
    group = tmp_path / "cgroup" / path.strip("/")
    group.mkdir(parents=True)
    (group / "memory.events").write_text(EVENTS)
    (tmp_path / "self").write_text(f"1:name=systemd:/elsewhere\n0::{path}\n")
    assert out_of_memory_kills(tmp_path / "cgroup", tmp_path / "self") == 3


@pytest.mark.parametrize("membership", ["0::/\n", "4:memory:/old\n", ""])
def test_where_the_kernel_does_not_say_there_is_none(tmp_path: Path, membership: str):
    (tmp_path / "self").write_text(membership)
    assert out_of_memory_kills(tmp_path / "cgroup", tmp_path / "self") is None


def test_a_kernel_that_is_too_old_to_count(tmp_path: Path):
    (tmp_path / "self").write_text("0::/\n")
    (tmp_path / "memory.events").write_text("low 0\noom 4\n")
    assert out_of_memory_kills(tmp_path, tmp_path / "self") is None
