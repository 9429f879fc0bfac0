"""Core schemas of pydantic are changed from inside out, and stay the same object where nothing changes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter
from pydantic_core import SchemaSerializer, SchemaValidator

from perdure.serialization.schema_walk import Node, after, first_of, rewrite, split, writes


def doubled(node: Node, _original: Node) -> Node:
    """Integers are read as their doubles."""
    return after(lambda value: 2 * value, node) if node["type"] == "int" else node


def reads(schema: Any, value: Any) -> Any:
    return SchemaValidator(schema).validate_python(value)


@pytest.mark.parametrize(
    ("hint", "value", "read"),
    [
        (list[int], [1, 2], [2, 4]),
        (dict[int, str], {1: "a"}, {2: "a"}),
        (dict[str, list[int]], {"a": [3]}, {"a": [6]}),
        (tuple[int, str], (1, "a"), (2, "a")),
        (int | str, "a", "a"),
        (int | None, 4, 8),
        (set[int], {1}, {2}),
    ],
)
def test_a_change_reaches_whatever_is_inside(hint: Any, value: Any, read: Any) -> None:
    assert reads(rewrite(TypeAdapter(hint).core_schema, doubled), value) == read


def test_what_does_not_change_is_the_same_object() -> None:
    schema = TypeAdapter(dict[str, list[tuple[float, str | None]]]).core_schema
    assert rewrite(schema, doubled) is schema


def test_inner_schemas_are_changed_first_and_the_original_is_given() -> None:
    met: list[tuple[str, bool]] = []

    def note(node: Node, original: Node) -> Node:
        met.append((node["type"], node is original))
        return doubled(node, original)

    rewrite({"type": "list", "items_schema": {"type": "int"}}, note)
    assert met == [("int", True), ("list", False)]


def test_a_schema_may_say_what_changes_within_it() -> None:
    def within(node: Node, change: Any) -> Any:
        return (lambda inner, _: inner) if node["type"] == "list" else change

    schema = {"type": "tuple", "items_schema": [{"type": "list", "items_schema": {"type": "int"}}, {"type": "int"}]}
    assert reads(rewrite(schema, doubled, within), ([1], 1)) == ([1], 2)


def test_how_a_value_is_written_is_a_part_of_the_schema() -> None:
    plain: Any = {"type": "any", "serialization": {"type": "function-wrap", "schema": {"type": "int"}}}
    changed = rewrite(plain, doubled)
    assert changed["serialization"]["schema"]["type"] == "function-after"


def test_the_first_choice_that_can_reads() -> None:
    schema: Any = first_of({"type": "int"}, {"type": "str"})
    assert (reads(schema, "3"), reads(schema, "x")) == (3, "x")
    with pytest.raises(ValueError, match="type=bytes_type"):
        reads(first_of({"type": "int"}, {"type": "none"}, error="bytes_type"), "x")


def test_a_function_writes_json_and_leaves_python_alone() -> None:
    schema: Any = {"type": "int", **writes(lambda value: f"<{value}>")}
    assert SchemaSerializer(schema).to_json(3) == b'"<3>"'
    assert SchemaSerializer(schema).to_python(3) == 3


def test_a_name_goes_to_what_takes_the_schemas_place() -> None:
    assert split({"type": "int", "ref": "x"}) == ({"type": "int"}, {"ref": "x"})
    assert split({"type": "int"}) == ({"type": "int"}, {})
