"""What docs/architecture.md says of the code is there: test_documents.py looks at its files, this one at functions."""

from __future__ import annotations

import re
from pathlib import Path

from docs.structure.tree import ROOT, modules

TREE = modules()
PAGE = ROOT / "docs" / "architecture.md"
FOLLOWS = re.compile(r"\]\(\.\./([\w./]+\.py)\)((?:,? (?:\| )?`[\w.]+`)+)")
"""A link to a module, and the functions that are named behind it."""

NAMED = [
    (path, function)
    for path, functions in FOLLOWS.findall(PAGE.read_text())
    for function in re.findall(r"`([\w.]+)`", functions)
]


def test_a_function_that_is_named_behind_a_file_is_in_it() -> None:
    of = {module.path: module.definitions for module in TREE.values()}
    assert [(path, function) for path, function in NAMED if function not in of[Path(path)]] == []


def test_many_are_named() -> None:
    assert len(NAMED) > 100
    assert ("runtime/perdure/engine/order/journal.py", "Journal.take") in NAMED


def test_every_package_is_in_the_table_of_packages() -> None:
    table = PAGE.read_text().partition("## The packages")[2].partition("## Five walks")[0]
    packages = {module.path.parent for module in TREE.values() if module.is_package and module.path.parts[3:]}
    top = {path for path in packages if len(path.parts) == 3}
    assert {str(path) for path in top if f"../{path})" not in table} == set()
