"""Classes are recorded by a name, and found by it where that is sure to be the same class."""

from __future__ import annotations

import enum
from collections import OrderedDict
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from perdure.serialization.class_names import find_type, type_name


class Outer:
    class Inner(Exception):
        pass


class Hides(type):
    """A metaclass whose classes say other names of themselves."""

    def __getattribute__(cls, name: str) -> Any:
        return "Other" if name in ("__qualname__", "__module__") else super().__getattribute__(name)


class Hidden(metaclass=Hides):
    pass


@pytest.mark.parametrize("kind", [ValueError, OrderedDict, Path])
def test_a_class_is_found_by_its_name(kind: type) -> None:
    assert find_type(type_name(kind)) is kind


def test_a_name_is_that_of_the_module_and_the_class_within_it() -> None:
    assert type_name(OSError) == "builtins:OSError"
    assert type_name(Outer.Inner) == f"{__name__}:Outer.Inner"


def test_a_metaclass_cannot_hide_a_name() -> None:
    assert type_name(Hidden) == f"{__name__}:Hidden"


def test_one_within_another_is_found() -> None:
    assert find_type("enum:Enum") is enum.Enum
    assert find_type("email.message:Message") is Message
    assert find_type("concurrent.futures:Future.result") is None, "it is no class"
    assert find_type("unittest.mock:Mock.return_value") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "builtins",
        "builtins:",
        "builtins:nothing",
        "builtins:print",
        "builtins:OSError.errno",
        "nowhere.at.all:Thing",
        "functools:wraps.<locals>.Thing",
    ],
)
def test_what_is_no_class_of_that_name_is_not_found(name: str) -> None:
    assert find_type(name) is None


def test_another_name_of_a_class_is_not_its_own() -> None:
    assert find_type("builtins:IOError") is None, "it is OSError"


def test_a_module_that_cannot_be_imported_is_as_if_it_were_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaks_when_imported.py").write_text("raise SyntaxError('on purpose')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_type("breaks_when_imported:Thing") is None
