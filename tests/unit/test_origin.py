"""The file of a workflow tells two projects apart; an installed package is the same for all."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from perdure.definitions import WorkflowDefinition
from perdure.origin import origin_of


def flow() -> None: ...


def defined_in(monkeypatch: pytest.MonkeyPatch, file: object) -> WorkflowDefinition:
    module = types.ModuleType("module_of_test")
    if file is not None:
        module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    function = types.FunctionType(flow.__code__, {}, "flow")
    function.__module__ = module.__name__
    return WorkflowDefinition(function)


def test_it_is_the_real_path_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "flows.py"
    file.touch()
    link = tmp_path / "link.py"
    link.symlink_to(file)
    assert origin_of(defined_in(monkeypatch, link)) == str(file.resolve())


@pytest.mark.parametrize(
    "file", [None, "/usr/lib/python3/dist-packages/bank/flows.py", "/venv/lib/python3.13/site-packages/flows.py"]
)
def test_what_is_installed_or_has_no_file_has_none(monkeypatch: pytest.MonkeyPatch, file: str | None) -> None:
    assert origin_of(defined_in(monkeypatch, file)) is None
