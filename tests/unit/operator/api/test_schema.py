"""The base of the models, and the rules in CEL that the API server evaluates."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from perdure_operator.api.schema import Closed, Open, immutable, only, rule, rules


class Limits(Closed):
    backoff_limit: int = 6


class Template(Open):
    node_name: str | None = None


def test_fields_go_by_their_names_in_manifests_and_in_python() -> None:
    assert Limits.model_validate({"backoffLimit": 3}) == Limits(backoff_limit=3)
    assert Limits(backoff_limit=3).model_dump(by_alias=True) == {"backoffLimit": 3}


def test_a_closed_object_drops_what_it_does_not_know_and_an_open_one_keeps_it() -> None:
    assert Limits.model_validate({"other": 1}) == Limits()
    assert Template.model_validate({"nodeName": "a", "other": 1}).model_dump(by_alias=True) == {
        "nodeName": "a", "other": 1,
    }  # fmt: skip
    assert Template.model_json_schema()["x-kubernetes-preserve-unknown-fields"] is True


@pytest.mark.parametrize("value", ["3", 3.5, True])
def test_values_are_of_their_type(value: object) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"backoffLimit": value})


def test_a_rule_names_its_field() -> None:
    assert rule("self > 0", "it is positive") == {"rule": "self > 0", "message": "it is positive"}
    assert rule("self > 0", "no", "input")["fieldPath"] == ".input"
    given: Any = rules(rule("a", "b"), rule("c", "d"), minimum=1)
    assert given["minimum"] == 1
    assert [one["rule"] for one in given["x-kubernetes-validations"]] == ["a", "c"]


@pytest.mark.parametrize(("opaque", "new", "old"), [(False, "self", "oldSelf"), (True, "dyn(self)", "dyn(oldSelf)")])
def test_an_immutable_field_is_compared_also_when_it_comes_or_goes(opaque: bool, new: str, old: str) -> None:
    made = immutable("input", "it stays", opaque=opaque)
    assert made["rule"] == f"has({new}.input) == has({old}.input) && (!has({new}.input) || {new}.input == {old}.input)"
    assert made["fieldPath"] == ".input"


def test_an_object_with_only_these_fields() -> None:
    assert only("a", "b") == "size(dyn(self)) == (has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0)"
