"""How models become a structural schema: one base for closed and one for open objects, and rules in CEL.

A rule that CEL cannot express is not written here: `parse` and `pod_template` tell it to the user in the status.
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
"""Anything: kept as it is."""


class Closed(BaseModel):
    """An object whose fields are all known; others are refused by strict clients, and pruned."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        strict=True,
    )


class Open(BaseModel):
    """An object of which the schema knows some fields; the others are kept as they are."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        frozen=True,
        strict=True,
        json_schema_extra=OPAQUE,
    )


def rule(cel: str, message: str, at: str | None = None) -> dict[str, str]:
    """A rule of the API server's; `at` is the field, below the object that has the rule, which the message is about."""
    placed = {"fieldPath": f".{at}", "reason": "FieldValueForbidden"} if at else {}
    return {"rule": cel, "message": message, **placed}


def rules(*them: Mapping[str, str], **more: Any) -> JsonDict:
    """What makes these the rules of a model or of a field, for `json_schema_extra`."""
    return {RULES: [dict(one) for one in them], **more}


def immutable(field: str, message: str, *, opaque: bool = False) -> dict[str, str]:
    """A rule of the object that has `field`: it stays as it is, and stays absent where it is absent.

    A rule of the field itself would not see it come and go. What the schema calls `opaque` has no type in CEL, so
    that `self.field` does not compile, but can be compared once the object is taken for dynamic (see ADR 0009).
    """
    new, old = ("dyn(self)", "dyn(oldSelf)") if opaque else ("self", "oldSelf")
    new, old = f"{new}.{field}", f"{old}.{field}"
    return rule(f"has({new}) == has({old}) && (!has({new}) || {new} == {old})", message, field)


def only(*fields: str) -> str:
    """CEL: an open object holds no other field than these. CEL does not see the others, but counts them."""
    counted = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return f"size(dyn(self)) == {counted}"
