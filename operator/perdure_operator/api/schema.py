"""Turns models into a structural schema: a base for closed objects, one for open objects, and rules in CEL.

Rules that CEL cannot express are not here: `parse` and `validation` check them, and the status shows the violation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

__all__ = ["ATOMIC", "BY_NAME", "OPAQUE", "Closed", "Open", "immutable", "only", "rule", "rules"]

RULES = "x-kubernetes-validations"

ATOMIC: Final[JsonDict] = {"x-kubernetes-map-type": "atomic"}
"""A map that has one owner."""

BY_NAME: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""A list that is merged by the names of its items, which are unique."""

OPAQUE: Final[JsonDict] = {"x-kubernetes-preserve-unknown-fields": True}
"""Any value, kept as it is."""


class Closed(BaseModel):
    """An object whose fields are all known. Strict clients reject other fields, and the API server prunes them."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        strict=True,
    )


class Open(BaseModel):
    """An object with known fields and others, which are kept as they are."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        frozen=True,
        strict=True,
        json_schema_extra=OPAQUE,
    )


def rule(cel: str, message: str, at: str | None = None) -> dict[str, str]:
    """A validation rule for the API server; `at` is the field, in the object with the rule, that the message names."""
    placed = {"fieldPath": f".{at}", "reason": "FieldValueForbidden"} if at else {}
    return {"rule": cel, "message": message, **placed}


def rules(*them: Mapping[str, str], **more: Any) -> JsonDict:
    """The value of `json_schema_extra` that gives these rules to a model or a field."""
    return {RULES: [dict(one) for one in them], **more}


def immutable(field: str, message: str, *, opaque: bool = False) -> dict[str, str]:
    """A rule of the object that has `field`: the field must not be changed, added or removed.

    A rule of the field itself is not evaluated when the field is added or removed. An `opaque` field has no type in
    CEL, so that `self.field` does not compile; but it can be compared if the object counts as dynamic (see ADR 0009).
    """
    new, old = ("dyn(self)", "dyn(oldSelf)") if opaque else ("self", "oldSelf")
    new, old = f"{new}.{field}", f"{old}.{field}"
    return rule(f"has({new}) == has({old}) && (!has({new}) || {new} == {old})", message, field)


def only(*fields: str) -> str:
    """CEL: an open object has only these fields. CEL cannot read other fields, but counts them."""
    counted = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return f"size(dyn(self)) == {counted}"
