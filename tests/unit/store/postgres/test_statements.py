"""Statements by name: those of a package's own file, and the library's where it has none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perdure.store.postgres.statements import statement

ROOT = Path(__file__).resolve().parents[4]
OURS, OPERATORS = "perdure.store", "perdure_operator.store"


@pytest.mark.parametrize(
    ("package", "file"),
    [(OURS, "runtime/perdure/store/queries.sql"), (OPERATORS, "operator/perdure_operator/store/queries.sql")],
)
def test_every_statement_of_a_file_is_found_whole_and_without_its_name(package: str, file: str) -> None:
    text = (ROOT / file).read_text()
    names = re.findall(r"(?m)^-- name: (\w+)$", text)
    assert len(names) == len(set(names)) > 5
    for name in names:
        found = statement(name, package)
        assert found in text
        assert "-- name:" not in found
        assert re.search(r"(?m)^(?:SELECT|INSERT|UPDATE|DELETE|WITH|SET|LISTEN|NOTIFY)\b", found)


def test_the_librarys_are_found_for_the_operator_too() -> None:
    assert statement("claim_run", OPERATORS) == statement("claim_run")


def test_the_operators_own_come_first() -> None:
    own = re.findall(r"(?m)^-- name: (\w+)$", (ROOT / "operator/perdure_operator/store/queries.sql").read_text())
    both = [name for name in own if f"-- name: {name}\n" in (ROOT / "runtime/perdure/store/queries.sql").read_text()]
    assert all(statement(name, OPERATORS) != statement(name) for name in both)


def test_a_statement_that_is_not_there_is_told() -> None:
    with pytest.raises(KeyError, match="no_such"):
        statement("no_such")
