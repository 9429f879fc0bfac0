"""What docs/architecture.md says of where to change what, held against a change of the kind that was made before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.structure.tree import ROOT

TABLE = (ROOT / "docs" / "architecture.md").read_text().partition("## Where to change what")[2]


@dataclass(frozen=True)
class Row:
    """A row of the table; `files` are paths from the root of the repository, some of them folders."""

    to: str
    number: str
    files: tuple[str, ...]


def rows() -> Iterator[Row]:
    for line in TABLE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] not in ("to", "---"):
            yield Row(cells[0], cells[1], tuple(re.findall(r"\]\(\.\./([^)]+)\)", cells[2])))


ROWS = {row.to: row for row in rows()}

DEFAULT_CRASHES = "change how many crashes a run survives by default"
CRASHES = r"backoff_limit: int = Field\(\s+default=6|backoff_limit\b.*\b6\b|progress \(6\)"

PRECEDENTS = [
    # The operator has a default for all Workflows, too, in three more files: that is not of the field.
    (
        "add a field to the spec that only the operator uses",
        "ttl_seconds_after_finished",
        "operator/perdure_operator",
        {"settings.py", "controller/controller.py", "controller/history.py"},
    ),
    ("add a column to `steps`", "fingerprint", "runtime/perdure/store", set()),
    ("add a function that pods may call", "declare_cleanup", "runtime/perdure/store", set()),
    # The moment of a cancellation is noted by who decides, too: that is not of every field.
    ("add a field to the status", "cancel_time", "operator/perdure_operator", {"decide/decision.py"}),
    ("change the default of step retries", "tries: int = 3", "runtime/perdure", set()),
    (DEFAULT_CRASHES, CRASHES, "runtime/perdure", set()),
    (DEFAULT_CRASHES, CRASHES, "operator/perdure_operator", set()),
]


def test_the_table_is_read() -> None:
    assert len(ROWS) >= 9
    assert {to for to, *_ in PRECEDENTS} <= ROWS.keys()
    assert any(to.startswith("add a durable wait") for to in ROWS)


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.to[:40])
def test_what_a_row_names_is_there_and_counted(row: Row) -> None:
    assert row.files
    assert [name for name in row.files if not (ROOT / name).exists()] == []
    if row.number.isdigit() and "the chart's" not in TABLE.partition(f"| {row.to} |")[2].partition("\n")[0]:
        assert len(row.files) == int(row.number)


@pytest.mark.parametrize(
    ("to", "precedent", "below", "beside"), PRECEDENTS, ids=[f"{to}-{below}" for to, _, below, _ in PRECEDENTS]
)
def test_a_change_of_the_kind_stands_where_its_row_says(to: str, precedent: str, below: str, beside: set[str]) -> None:
    named = [ROOT / name for name in ROWS[to].files]
    # A file beside a README stands for its folder.
    places = [path.parent if path.name == "README.md" else path for path in named]
    found = [
        path
        for path in sorted((ROOT / below).rglob("*"))
        if path.suffix in (".py", ".sql") and re.search(precedent, path.read_text())
    ]
    assert found
    lost = [path for path in found if not any(_is_within(path, place) for place in places)]
    assert {path.relative_to(ROOT / below).as_posix() for path in lost} == beside


def _is_within(path: Path, place: Path) -> bool:
    return path == place or place in path.parents
