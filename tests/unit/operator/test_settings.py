"""What the operator is told, and what it answers to nonsense."""

from __future__ import annotations

import pytest

from perdure_operator.errors import Misconfigured
from perdure_operator.settings import Settings

ENOUGH = {"PERDURE_DATABASE_URL": "postgresql://store/perdure", "PERDURE_OPERATOR_POD_DATABASE_SECRET": "perdure"}


def test_flags_win_over_variables():
    environ = {**ENOUGH, "PERDURE_OPERATOR_WORKERS": "3", "PERDURE_OPERATOR_NAMESPACES": "a, b,"}
    settings = Settings.parse(["--workers", "5"], environ)
    assert (settings.workers, settings.namespaces) == (5, ("a", "b"))
    assert settings.database_url == ENOUGH["PERDURE_DATABASE_URL"]


def test_an_empty_variable_is_one_that_is_not_set():
    assert Settings.parse([], {**ENOUGH, "PERDURE_OPERATOR_MAX_ACTIVE_RUNS": ""}).max_active_runs is None


def test_two_processes_of_one_pod_are_two():
    assert Settings.parse([], ENOUGH).identity != Settings.parse([], ENOUGH).identity


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "--database-url"),
        ({**ENOUGH, "PERDURE_OPERATOR_WORKERS": "many"}, "--workers"),
        ({**ENOUGH, "PERDURE_OPERATOR_LOG_LEVEL": "LOUD"}, "--log-level"),
        ({"PERDURE_DATABASE_URL": "postgresql://store/perdure"}, "--pod-database-secret"),
        ({**ENOUGH, "PERDURE_OPERATOR_POD_DATABASE_URL": "postgresql://x:secret@y/z"}, "--pod-database-secret"),
    ],
)
def test_what_is_wrong_is_named(environ, said):
    with pytest.raises(Misconfigured, match=said) as raised:
        Settings.parse([], environ)
    assert "secret@" not in str(raised.value)


def test_secrets_are_no_flags_and_are_not_shown(capsys):
    with pytest.raises(SystemExit):
        Settings.parse(["--help"], ENOUGH)
    assert "database-url" not in capsys.readouterr().out
    assert "store/perdure" not in repr(Settings.parse([], ENOUGH))
