"""The entry of `perdure`: `exec` goes past the parser, and everything else through it."""

from __future__ import annotations

import sys

import pytest

from perdure.cli import parser
from perdure.cli.commands import exec as command
from perdure.cli.main import main


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is called, in place of the commands."""
    calls: list[object] = []

    def execute_attempt() -> int:
        calls.append("exec")
        return 75

    def run_command(arguments: list[str]) -> int:
        calls.append(arguments)
        return 3

    monkeypatch.setattr(command, "execute_attempt", execute_attempt)
    monkeypatch.setattr(parser, "run_command", run_command)
    return calls


def test_exec_alone_is_a_pods(called: list[object]) -> None:
    assert main(["exec"]) == 75
    assert called == ["exec"]


@pytest.mark.parametrize("arguments", [["exec", "--help"], ["list"], []])
def test_all_else_is_parsed(called: list[object], arguments: list[str]) -> None:
    assert main(arguments) == 3
    assert called == [arguments]


def test_without_arguments_those_of_the_process_count(called: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["perdure", "show", "x"])
    assert main() == 3
    assert called == [["show", "x"]]
