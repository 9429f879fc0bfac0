"""Arguments of the commands, the exit code of each kind of error, and how an error is printed."""

from __future__ import annotations

import errno
import os
from argparse import Namespace
from importlib.metadata import version

import pytest

from perdure.cli.commands import administration, inspection, logins, run
from perdure.cli.parser import run_command
from perdure.errors import (
    InputError,
    PerdureError,
    RunConflict,
    RunNotFound,
    SchemaMismatch,
    StoreUnavailable,
    UsageError,
)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Namespace]:
    """What commands are called with."""
    taken: list[Namespace] = []

    def command(arguments: Namespace) -> int:
        taken.append(arguments)
        return 0

    for module, names in (
        (run, ["run"]),
        (inspection, ["list_runs", "show"]),
        (administration, ["cancel", "delete", "prune", "migrate", "restored"]),
        (logins, ["add", "list_bound", "lock"]),
    ):
        for name in names:
            monkeypatch.setattr(module, name, command)
    return taken


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def command(_: Namespace) -> int:
        raise error

    monkeypatch.setattr(inspection, "show", command)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run flows.py:pay", {"workflow": "flows.py:pay", "input": None, "queue": "default", "output": "text"}),
        ("run a:b --backoff-limit 0 --queue q -o json", {"backoff_limit": 0, "queue": "q", "output": "json"}),
        ("list", {"queue": None, "limit": 100, "state": None}),
        ("list --state failed --state succeeded", {"state": ["failed", "succeeded"]}),
        ("show x --database-url postgresql://there", {"id": "x", "database_url": "postgresql://there"}),
        ("cancel x --now", {"id": "x", "now": True, "queue": "default"}),
        ("delete x", {"force": False}),
        ("prune --older-than 7d", {"older_than": "7d", "queue": None}),
        ("migrate --sql --pod-role pods", {"sql": True, "pod_role": "pods"}),
        ("restored", {"called": "restored", "debug": False}),
        (
            "logins add --namespace n --owner cluster:u",
            {"purpose": "pods", "pod_role": "perdure_pods", "called": "logins add", "existing": False},
        ),
        ("logins lock pods_n", {"login": "pods_n"}),
    ],
)
def test_what_a_command_is_given(given: list[Namespace], words: str, expected: dict[str, object]) -> None:
    assert run_command(words.split()) == 0
    [arguments] = given
    assert expected.items() <= vars(arguments).items()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "required: COMMAND"),
        ("runn", "invalid choice: 'runn'"),
        ("run", "required: WORKFLOW"),
        ("run a:b --backoff-limit -1", "'-1' is no number of 0 or more"),
        ("run a:b --outp json", "unrecognized arguments: --outp"),
        ("list --limit 0", "0 is too few"),
        ("list -o xml", "invalid choice: 'xml'"),
        ("prune", "required: --older-than"),
        ("logins add --namespace n --owner cluster:u --existing --new-password", "not allowed with"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_in_one_sentence(
    given: list[Namespace], words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_command(words.split())
    assert left.value.code == 64
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.endswith("--help\n")
    assert printed.count("\n") == 1
    assert given == []


def test_an_empty_url_is_not_taken_for_none(given: list[Namespace], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(["show", "x", "--database-url", ""])
    assert "it is empty" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run_command(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"perdure {version('perdure')}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), 64),
        (InputError("no"), 64),
        (RunConflict("no"), 64),
        (StoreUnavailable("no"), 69),
        (SchemaMismatch("no"), 69),
        (RunNotFound("no"), 1),
        (PerdureError("no"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: PerdureError, code: int
) -> None:
    raising(monkeypatch, error)
    assert run_command(["show", "x"]) == code
    assert capsys.readouterr().err == "perdure show: no\n"


def test_a_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, UsageError("no"))
    assert run_command(["show", "x", "--debug"]) == 64
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback")
    assert printed.endswith("perdure show: no\n")


def test_ctrl_c_has_the_code_of_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert run_command(["show", "x"]) == 130


def test_an_error_of_the_system_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # this process keeps its output
    raising(monkeypatch, OSError(errno.EACCES, "Permission denied", "report.json"))
    assert run_command(["show", "x"]) == 1
    assert capfd.readouterr().err == "perdure show: report.json cannot be used: Permission denied\n"
