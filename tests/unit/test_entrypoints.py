"""A workflow is found by its module or its file; where it is not, the message says what to write instead."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perdure.entrypoints import ModuleFile, import_module, load, locate
from perdure.errors import EntrypointError

FLOWS = """
from perdure import step, workflow

@workflow
def transfer() -> int:
    return 1

@step
def charge() -> int:
    return 1

def make():
    @workflow
    def inner() -> int:
        return 1
    return inner

hidden = make()
number = 3
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files of a project, in whose folder we are; its modules are forgotten with the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("perdure.definitions._registry", {})
    before = set(sys.modules)

    def write(name: str, text: str = FLOWS) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("entrypoint", "why"),
    [
        ("transfer", "names no workflow: write module:function"),
        ("no_such_module:flow", "there is no module 'no_such_module'; searched: "),
        ("perdure.no_such:flow", "there is no module 'perdure.no_such'"),
        ("json:flow", "has no function 'flow', and no other function there is marked @workflow"),
        ("json:dumps", "is not a workflow: mark it @workflow"),
        ("json:JSONDecoder", "is not a workflow (it is a value of type type)"),
        ("json:decoder.JSONDecoder", "is inside of something"),
        ("perdure:__all__", "is not a workflow (it is a value of type list)"),
        ("missing/file.py:flow", "does not exist"),
    ],
)
def test_an_entrypoint_that_names_no_workflow(entrypoint: str, why: str) -> None:
    with pytest.raises(EntrypointError) as refused:
        load(entrypoint)
    assert why in str(refused.value)


@pytest.mark.parametrize("reference", ["flows_a:transfer", "flows_a.py:transfer", "./flows_a.py:transfer"])
def test_it_is_found_by_module_and_by_file(write: Write, reference: str) -> None:
    write("flows_a.py")
    definition = load(reference)
    assert definition.entrypoint == "flows_a:transfer"
    assert definition.function() == 1


def test_a_file_has_the_name_that_it_has_in_its_package(write: Write, tmp_path: Path) -> None:
    write("src/bank_b/__init__.py", "")
    write("src/bank_b/flows.py")
    assert locate("src/bank_b/flows.py") == ModuleFile(
        "bank_b.flows", tmp_path / "src", tmp_path / "src/bank_b/flows.py"
    )
    assert load("src/bank_b/flows.py:transfer").entrypoint == "bank_b.flows:transfer"
    assert str(tmp_path / "src") in sys.path


def test_a_dotted_name_is_no_file() -> None:
    assert locate("bank.flows") == ModuleFile("bank.flows")


@pytest.mark.parametrize(
    ("place", "why"),
    [("missing/flows.py", "does not exist"), ("folder/", "is a folder"), ("notes/plain.txt", "is no Python file")],
)
def test_what_is_no_file_to_import(write: Write, place: str, why: str) -> None:
    write("folder/x.py")
    write("notes/plain.txt")
    with pytest.raises(EntrypointError, match=why):
        locate(place)


def test_a_file_whose_name_cannot_be_imported(write: Write) -> None:
    write("my.flows.py")
    with pytest.raises(EntrypointError, match="rename it to letters, digits and _"):
        locate("my.flows.py")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("transfre", "did you mean 'transfer'?"),
        ("something", "its workflows: hidden, transfer"),
        ("charge", "is a step, not a workflow"),
        ("number", "a value of type int"),
        ("hidden", "was defined inside of something"),
        ("make.inner", "is inside of something"),
    ],
)
def test_what_is_meant_instead_is_said(write: Write, function: str, why: str) -> None:
    write("flows_c.py")
    with pytest.raises(EntrypointError) as refused:
        load(f"flows_c:{function}")
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "it calls sys.exit(3); put that below: if __name__ == '__main__'"),
        ("def f(:", "SyntaxError"),
        ("import no_such_module_at_all", "no_such_module_at_all"),
    ],
)
def test_a_module_that_fails_as_it_is_imported_is_named_with_its_line(write: Write, text: str, why: str) -> None:
    file = write("flows_d.py", f"# first line\n{text}\n")
    with pytest.raises(EntrypointError) as refused:
        load("flows_d.py:transfer")
    said = str(refused.value)
    assert said.startswith(f"{file} cannot be imported: ")
    assert why in said
    assert "SyntaxError" in said or f"{file}, line 2: {text}" in said
    assert "entrypoints.py" not in said


def test_ctrl_c_during_an_import_is_no_error_of_the_module(write: Write) -> None:
    write("flows_e.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("flows_e:transfer")


def test_a_file_that_would_be_taken_for_another_module_is_refused(write: Write) -> None:
    write("json.py")
    with pytest.raises(EntrypointError, match="which is another module already"):
        load("json.py:transfer")


def test_the_folder_stays_on_the_import_path(write: Write, tmp_path: Path) -> None:
    write("flows_f.py", "")
    import_module(locate("flows_f"))
    assert sys.path[0] == os.getcwd() == str(tmp_path)
