"""The walk over the process table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perdure.process import tree as module
from perdure.process.tree import Process, below, processes


def _table(folder: Path, *rows: tuple[int, str, int, int]) -> None:
    for pid, name, parent, group in rows:
        (folder / str(pid)).mkdir()
        (folder / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} {group} 7 0 -1 4194560 118 0\n")


def test_everything_below_is_found_whatever_it_calls_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _table(
        tmp_path,
        (1, "init", 0, 1),
        (10, "python", 1, 10),
        (11, "a (child) S 1 1", 10, 11),
        (12, ") S 1 99 ", 11, 12),
        (13, "sh", 11, 11),
        (20, "other", 1, 20),
        (21, "sh", 20, 10),
    )
    (tmp_path / "meminfo").touch()
    (tmp_path / "30").mkdir()  # ended while the walk was on
    monkeypatch.setattr(module, "_PROC", tmp_path)
    assert {process.pid for process in processes(besides={10, 12})} == {1, 11, 13, 20, 21}
    assert sorted(below(10, processes()), key=lambda process: process.pid) == [
        Process(11, 10, 11),
        Process(12, 11, 12),
        Process(13, 11, 11),
    ]


def test_without_a_process_table_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_PROC", tmp_path / "none")
    assert below(os.getpid(), processes()) == []
