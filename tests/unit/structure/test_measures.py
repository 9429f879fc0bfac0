"""Lines of code, files of a folder, and where the test of a module is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.structure.__main__ import table
from docs.structure.measures import Measure, code_lines, measures, sizes_of_folders, untested
from docs.structure.tree import Module, arrows, modules

DOES = "def does():\n    return 1\n"


def known(*paths: str, source: str = DOES) -> dict[str, Module]:
    return {path: Module(path, Path(path), source) for path in paths}


def test_code_is_neither_empty_lines_nor_comments_nor_docstrings() -> None:
    source = '"""Two\nlines."""\n\n# why\nx = [\n    1,\n\n]  # three lines\ny = """text\nof code"""\n'
    assert code_lines(source) == 3 + 2


def test_the_files_of_a_folder_are_counted_without_its_init() -> None:
    sizes = sizes_of_folders(known("runtime/perdure/a.py", "runtime/perdure/b/__init__.py", "runtime/perdure/b/c.py"))
    assert sizes == {"runtime/perdure": 1, "runtime/perdure/b": 1}


@pytest.mark.parametrize(
    ("module", "test"),
    [
        ("runtime/perdure/names.py", "unit/test_names.py"),
        ("runtime/perdure/engine/lane.py", "unit/engine/test_lane.py"),
        ("runtime/perdure/engine/lane.py", "integration/engine/test_lane_of_many.py"),
        ("operator/perdure_operator/api/pod.py", "unit/operator/api/test_pod.py"),
        ("runtime/perdure/cli/__main__.py", ""),
    ],
)
def test_a_test_is_named_for_its_module_where_the_tree_mirrors_it(tmp_path: Path, module: str, test: str) -> None:
    if test:
        (tmp_path / "tests" / test).parent.mkdir(parents=True)
        (tmp_path / "tests" / test).touch()
    assert untested(known(module), tmp_path) == []


@pytest.mark.parametrize(
    "test", ["unit/test_lane.py", "unit/engine/test_lanes.py", "unit/operator/engine/test_lane.py"]
)
def test_a_test_elsewhere_or_of_another_name_is_not_the_modules(tmp_path: Path, test: str) -> None:
    (tmp_path / "tests" / test).parent.mkdir(parents=True)
    (tmp_path / "tests" / test).touch()
    assert untested(known("runtime/perdure/engine/lane.py"), tmp_path) == ["runtime/perdure/engine/lane.py"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("LIMIT = 3\n\n\nclass Row:\n    id: int\n", False),
        (
            'class Sink(Protocol):\n    def write(self):\n        """Write."""\n\n    def end(self): ...\n',
            False,
        ),
        ("class Row:\n    id: int\n\n    @property\n    def name(self):\n        return str(self.id)\n", True),
        ("async def wait():\n    await other()\n", True),
    ],
)
def test_a_module_with_nothing_to_run_needs_no_test(tmp_path: Path, source: str, found: bool) -> None:
    assert untested(known("runtime/perdure/engine/lane.py", source=source), tmp_path) == (
        ["runtime/perdure/engine/lane.py"] if found else []
    )


def test_the_table_marks_what_falls_short_of_its_aim() -> None:
    assert table([Measure("modules", 3), Measure.at_most("circles", 1, 0), Measure.at_most("hops", 9, 10)]) == (
        "           today  aim\nmodules        3\ncircles        1  0  <-\nhops           9  at most 10"
    )


def test_every_measure_is_taken_of_the_code_as_it_is() -> None:
    tree = modules()
    taken = {measure.name: measure for measure in measures(tree, arrows(tree))}
    assert taken["modules"].figure == len(tree) > 200
    assert taken["circles of imports"].aim == "0"
    assert all(measure.figure >= 0 for measure in taken.values())
