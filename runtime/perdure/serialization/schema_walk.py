"""Changing pydantic's core schemas, which are trees of dictionaries, and the few pieces that changes are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

__all__ = ["Change", "Node", "after", "first_of", "rewrite", "split", "writes"]

Node: TypeAlias = dict[str, Any]

_INSIDE: Final = (
    "schema",
    "items_schema",
    "keys_schema",
    "values_schema",
    "extras_schema",
    "extras_keys_schema",
    "lax_schema",
    "strict_schema",
    "json_schema",
    "python_schema",
    "steps",
    "choices",
    "definitions",
    "fields",
)
"""Keys of a schema under which it has others: one, a list or a dict of them."""


Change: TypeAlias = Callable[[Node, Node], Any]
"""Gives what takes a schema's place, of the schema as it is by then and as it was."""


def _same(_node: Node, change: Change) -> Change:
    return change


def rewrite(node: Any, change: Change, within: Callable[[Node, Change], Change] = _same) -> Any:
    """A schema with `change` done to each one in it, inner ones first; itself if nothing changed.

    `within` gives the change for the inner schemas of a schema, from that schema and its own change.
    """
    if isinstance(node, list):
        members = [rewrite(member, change, within) for member in node]
        return members if any(new is not old for new, old in zip(members, node, strict=True)) else node
    if isinstance(node, tuple):  # a choice of a union, with its label
        first = rewrite(node[0], change, within)
        return node if first is node[0] else (first, *node[1:])
    if not isinstance(node, dict):
        return node
    if "type" not in node:  # schemas by name
        named = {name: rewrite(member, change, within) for name, member in node.items()}
        return named if any(named[name] is not node[name] for name in node) else node
    inside = within(node, change)
    changed = {}
    for key in _INSIDE:
        inner = node.get(key)
        if isinstance(inner, dict | list) and (new := rewrite(inner, inside, within)) is not inner:
            changed[key] = new
    written = node.get("serialization")
    if isinstance(written, dict) and (inner := written.get("schema")) is not None:
        new = rewrite(inner, inside, within)
        if new is not inner:
            changed["serialization"] = {**written, "schema": new}
    return change({**node, **changed} if changed else node, node)


def after(function: Callable[[Any], Any], schema: Node) -> Node:
    """What `schema` reads, passed through a function."""
    return {"type": "function-after", "function": {"type": "no-info", "function": function}, "schema": schema}


def first_of(*choices: Node, error: str | None = None) -> Node:
    """The first schema that can read a value; `error` is pydantic's name of the error if there is none."""
    union: Node = {"type": "union", "mode": "left_to_right", "choices": list(choices)}
    return union | ({"custom_error_type": error} if error else {})


def writes(function: Callable[..., Any], schema: Node | None = None) -> Node:
    """A part of a schema: values are written by the function, which `schema` is handed to if there is one."""
    kind = "function-plain" if schema is None else "function-wrap"
    written: Node = {"type": kind, "function": function, "when_used": "json"}
    return {"serialization": written | ({} if schema is None else {"schema": schema})}


def split(node: Node) -> tuple[Node, Node]:
    """A schema without its name, and the name, for the schema that takes its place."""
    if "ref" not in node:
        return node, {}
    return {key: value for key, value in node.items() if key != "ref"}, {"ref": node["ref"]}
