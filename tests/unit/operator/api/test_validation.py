"""What a podTemplate may not say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure_operator.api.validation import MAX_TEMPLATE_BYTES, refusals
from tests.unit.operator.api.manifests import REFUSED, TAKEN, with_container


@pytest.mark.parametrize(
    ("template", "path", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused(template, path, words):
    assert refusals(template) == [f"{path}: {words}"]


@pytest.mark.parametrize("template", TAKEN.values(), ids=TAKEN)
def test_taken(template):
    assert refusals(template) == []


@pytest.mark.parametrize("key", ["note", "é"])
def test_one_that_is_too_large_is_refused_for_nothing_else(key):
    def with_bytes(size):
        template = {"hostPID": True, "metadata": {"annotations": {key: ""}}}
        rest = size - len(json.dumps(template, ensure_ascii=False, separators=(",", ":")).encode())
        return {**template, "metadata": {"annotations": {key: "x" * rest}}}

    [said] = refusals(with_bytes(MAX_TEMPLATE_BYTES + 1))
    assert said.startswith("podTemplate: it has 65537 bytes, and 65536 are the most")
    assert "65537" not in " ".join(refusals(with_bytes(MAX_TEMPLATE_BYTES)))


def test_all_are_told_at_once():
    template = {"spec": {"hostPID": True, **with_container(command=["x"], image="y")["spec"]}}
    assert len(refusals(template)) == 3


def test_other_containers_may_have_what_ours_may_not():
    other = {"name": "other", "image": "x", "command": ["x"], "env": [{"name": "PERDURE_X", "value": "1"}]}
    assert refusals({"spec": {"containers": [other]}}) == []


def test_what_says_what_holds_anyway_is_no_refusal():
    template = {"spec": {"restartPolicy": "Never", "hostPID": False, "shareProcessNamespace": False}}
    assert refusals(template) == []


@pytest.mark.parametrize(
    "template",
    [
        [],
        "x",
        {"metadata": 7},
        {"metadata": {"labels": ["x"]}},
        {"spec": "x"},
        {"spec": {"containers": {"name": "workflow"}}},
        {"spec": {"containers": ["workflow"]}},
        {"spec": {"containers": [{"name": 7}]}},
        {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}},
        {"spec": {"terminationGracePeriodSeconds": "30"}},
        {"spec": {"terminationGracePeriodSeconds": 0}},
        with_container(env="x"),
        with_container(env=[{"value": "x"}]),
    ],
)
def test_what_no_schema_would_take_is_refused(template):
    assert refusals(template)


KEYS = st.sampled_from(
    ["metadata", "spec", "containers", "name", "env", "envFrom", "labels", "prefix", "command", "volumes"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["workflow", "PERDURE_X", "x"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=4),
    max_leaves=20,
)


@given(template=JSON)
def test_total(template):
    assert all(isinstance(one, str) for one in refusals(template))


@given(containers=JSON)
def test_total_for_containers(containers):
    refusals({"spec": {"containers": containers, "initContainers": containers}})
