"""Which module imports which: relative or absolute, in a function or for the type checker alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.structure.tree import arrows, modules

FILES = {
    "runtime/perdure/__init__.py": "",
    "runtime/perdure/errors.py": (
        "LIMIT: int = 1\nclass PerdureError:\n    code: int\n    def explain(self): ...\n\ndef drawn(): ...\n"
    ),
    "runtime/perdure/engine/__init__.py": "from .lane import Lane\n",
    "runtime/perdure/engine/lane.py": "",
    "runtime/perdure/store/schema/migrations/env.py": "import perdure.errors\n",
    "operator/perdure_operator/__init__.py": "",
    "operator/perdure_operator/term.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def imports(root: Path, source: str, of: str = "perdure.engine.lane") -> set[str]:
    (root / modules(root)[of].path).write_text(source)
    return arrows(modules(root))[of]


def test_the_modules_of_both_packages_are_found_but_for_the_migrations(root: Path) -> None:
    names = {"perdure", "perdure.errors", "perdure.engine", "perdure.engine.lane"}
    assert set(modules(root)) == names | {"perdure_operator", "perdure_operator.term"}


@pytest.mark.parametrize(
    "source",
    [
        "from ..errors import PerdureError\n",
        "from .. import errors\n",
        "from perdure import errors\n",
        "from perdure.errors import PerdureError\n",
        "import perdure.errors as e\n",
        "def late():\n    from ..errors import PerdureError\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..errors import PerdureError\n",
    ],
)
def test_every_way_to_import_is_an_arrow(root: Path, source: str) -> None:
    assert imports(root, source) == {"perdure.errors"}


def test_imports_of_a_folder_begin_in_it(root: Path) -> None:
    assert arrows(modules(root))["perdure.engine"] == {"perdure.engine.lane"}


def test_the_packages_that_a_module_is_in_and_other_libraries_are_no_arrows(root: Path) -> None:
    assert imports(root, "import asyncio\nimport perdure\nfrom perdure.engine import Lane\nfrom . import x\n") == set()


def test_the_library_is_an_arrow_for_the_operator(root: Path) -> None:
    assert imports(root, "from perdure import Client\n", "perdure_operator.term") == {"perdure"}


def test_definitions_are_named_with_their_class(root: Path) -> None:
    of_class = {"PerdureError", "PerdureError.code", "PerdureError.explain"}
    assert modules(root)["perdure.errors"].definitions == of_class | {"drawn"}
