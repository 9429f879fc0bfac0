"""Writes what of the chart is made: the kind from crds/, README.md's tables from values.yaml, the dashboard.

A value is described by the comment above it; where it stands in values.schema.json says whether it is one value or a
group of some. `make chart` runs this, and a test sees that it was run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from charts.dashboard import dashboard

__all__ = ["Value", "generated", "values"]

_CHART: Final = Path(__file__).resolve().parent / "perdure"
_CRDS: Final = _CHART.parents[1] / "crds"
_BEGIN: Final = "<!-- Made from values.yaml: make chart -->"
_END: Final = "<!-- End of values -->"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the chart: its path, its default as JSON, and what its comment says."""

    path: str
    default: str
    description: str


def generated() -> dict[Path, str]:
    """Every file that is made from others, and its text."""
    crds = {_CHART / "files" / "crds" / file.name: file.read_text() for file in _CRDS.glob("*.yaml")}
    readme = _CHART / "README.md"
    before, _, rest = readme.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    board = _CHART / "files" / "dashboard.json"
    return {**crds, board: dashboard(), readme: f"{before}{_BEGIN}\n\n{_tables()}\n{_END}{after}"}


def values() -> list[Value]:
    """All values, in the order of values.yaml.

    Raises:
        ValueError: one has no comment; the message names it.
    """
    text = (_CHART / "values.yaml").read_text()
    described = dict(_comments(text))
    schema = json.loads((_CHART / "values.schema.json").read_text())
    found = []
    for path, default in _leaves(yaml.safe_load(text), schema):
        if path not in described:
            raise ValueError(f"{path} has no comment in values.yaml")
        found.append(Value(path, json.dumps(default), described[path]))
    return found


def _tables() -> str:
    """One table for each group, and one for what stands alone."""
    described = dict(_comments((_CHART / "values.yaml").read_text()))
    groups: dict[str, list[Value]] = {}
    for value in values():
        group, dot, _ = value.path.partition(".")
        groups.setdefault(group if dot else "", []).append(value)
    parts = []
    for group, members in groups.items():
        head = f"### {group}\n\n" if group else ""
        about = f"{described[group]}\n\n" if group in described else ""
        rows = "".join(f"| `{one.path}` | `{one.default}` | {one.description} |\n" for one in members)
        parts.append(f"{head}{about}| value | default | what it is |\n| --- | --- | --- |\n{rows}")
    return "\n".join(parts)


def _leaves(given: Mapping[str, Any], schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Values with their paths: groups are what the schema gives properties of their own."""
    for name, value in given.items():
        of_value = schema["properties"][name]
        if "properties" in of_value:
            yield from _leaves(value, of_value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _comments(text: str) -> Iterator[tuple[str, str]]:
    """Paths of keys, each with the comment right above it."""
    parents: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.lstrip()
        indent = len(line) - len(stripped)
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        if stripped and ":" in stripped:
            while parents and parents[-1][0] >= indent:
                parents.pop()
            parents.append((indent, stripped.partition(":")[0]))
            if comment:
                yield ".".join(name for _, name in parents), " ".join(comment)
        comment = []


def main() -> None:
    """Write them."""
    for file, text in generated().items():
        file.write_text(text)


if __name__ == "__main__":
    main()
