"""A Workflow from the API server: read as it is meant, and never an exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from inspect import signature

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DefaultClause

from perdure.client import Client
from perdure.store.runs.runs import NewRun
from perdure.store.schema import tables
from perdure_operator.api.models import MAX_BYTES, WorkflowSpec
from perdure_operator.api.parse import brief, parse_workflow
from perdure_operator.decide.observed import Key, Spec, Status
from tests.unit.operator.api.manifests import NAME, REFUSED, TAKEN, UID, workflow


def spec_of(body) -> Spec:
    parsed = parse_workflow(body)
    assert parsed.spec is not None
    return parsed.spec


def problem_of(body) -> str:
    parsed = parse_workflow(body)
    assert parsed.problem is not None
    return parsed.problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)


def test_least_workflow_gets_the_defaults():
    parsed = parse_workflow(workflow())
    assert parsed.key == Key("shop", NAME)
    assert (parsed.uid, parsed.generation, parsed.resource_version) == (UID, 3, "42")
    assert parsed.created == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert parsed.spec == Spec(entrypoint="bank:transfer", input="{}")
    assert (parsed.problem, parsed.status, parsed.deleting, parsed.restart) == (None, Status(), False, None)


def test_whole_workflow():
    metadata = {
        "deletionTimestamp": "2026-03-01T13:00:00Z",
        "annotations": {"perdure.io/restart": "again"},
    }
    template = {"spec": {"nodeSelector": {"disk": "fast"}}}
    spec = {
        "image": "bank:1",
        "source": {"inline": {"bank.py": "x = 1"}},
        "input": {"b": 1, "a": ["é", None]},
        "backoffLimit": 0,
        "activeDeadlineSeconds": 60,
        "ttlSecondsAfterFinished": 0,
        "suspend": True,
        "cancel": True,
        "podTemplate": template,
    }
    fields = {field.alias or name for name, field in WorkflowSpec.model_fields.items()}
    assert fields == spec.keys() | {"entrypoint"}, "each field is given here, and read below"
    parsed = parse_workflow(workflow(spec, metadata=metadata))
    assert parsed.problem is None
    assert parsed.deleting
    assert parsed.restart == "again"
    assert parsed.spec == Spec(
        entrypoint="bank:transfer",
        input='{"b":1,"a":["é",null]}',
        image="bank:1",
        source_inline={"bank.py": "x = 1"},
        backoff_limit=0,
        active_deadline_seconds=60,
        ttl_seconds_after_finished=0,
        suspend=True,
        cancel=True,
        pod_template=template,
    )


def test_every_run_survives_as_many_crashes_by_default():
    limit = WorkflowSpec.model_fields["backoff_limit"].default
    column = tables.runs.c.backoff_limit.server_default
    assert Spec(entrypoint="bank:transfer", input="{}").backoff_limit == limit
    assert signature(Client.start).parameters["backoff_limit"].default == limit
    assert signature(NewRun).parameters["backoff_limit"].default == limit
    assert isinstance(column, DefaultClause)
    assert str(column.arg) == str(limit)


def test_config_map():
    assert spec_of(workflow({"source": {"configMap": {"name": "code"}}})).source_config_map == "code"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (None, "no spec that is an object"),
        ([], "no spec that is an object"),
        ({}, "spec.entrypoint: Field required"),
        ({"entrypoint": 7}, "spec.entrypoint: Input should be a valid string"),
        ({"entrypoint": "bank.py"}, "spec.entrypoint: String should match pattern"),
        ({"entrypoint": "a:b", "backoffLimit": "6"}, "spec.backoffLimit: Input should be a valid integer"),
        ({"entrypoint": "a:b", "backoffLimit": True}, "spec.backoffLimit: Input should be a valid integer"),
        ({"entrypoint": "a:b", "suspend": "yes"}, "spec.suspend: Input should be a valid boolean"),
        ({"entrypoint": "a:b", "input": [1]}, "spec.input: Input should be a valid dictionary"),
        (
            {"entrypoint": "a:b", "source": {"inline": {"a.py": 1}}},
            "spec.source.inline.a.py: Input should be a valid string",
        ),
        ({"entrypoint": "a:b", "podTemplate": {"spec": {"containers": [{}]}}}, "containers.0.name: Field required"),
    ],
)
def test_what_no_schema_would_take_is_a_problem(spec, words):
    parsed = parse_workflow(workflow() | {"spec": spec})
    assert words in (parsed.problem or "")
    assert parsed.spec is None
    assert parsed.key == Key("shop", NAME)


@pytest.mark.parametrize("name", ["../../team-b/configmaps/app-config", "..", "Code", "a_b", "a/b", "-a", "a..b", "a."])
def test_a_config_map_is_named_as_kubernetes_names_one(name):
    parsed = parse_workflow(workflow({"source": {"configMap": {"name": name}}}))
    assert "source.configMap.name" in (parsed.problem or "")
    assert parsed.spec is None


def test_of_a_long_restart_annotation_the_digest_is_kept():
    def restart(value):
        return parse_workflow(workflow(metadata={"annotations": {"perdure.io/restart": value}})).restart

    assert restart("a" * 256) == "a" * 256
    long = restart("a" * 257)
    assert long is not None
    assert len(long) < 256
    assert long != restart("a" * 258)
    assert restart("\ud800" * 300) is not None


def test_a_problem_does_not_repeat_values():
    assert "hunter2" not in problem_of(workflow({"image": ["hunter2"], "suspend": "hunter2"}))


def test_fields_of_other_versions_are_passed_over():
    assert parse_workflow(workflow({"queue": "fast"})).problem is None


@pytest.mark.parametrize(
    ("pod", "grace"),
    [({}, None), ({"terminationGracePeriodSeconds": 20}, 20.0), ({"terminationGracePeriodSeconds": None}, None)],
)
def test_the_grace_of_a_template(pod, grace):
    assert spec_of(workflow({"podTemplate": {"spec": pod}})).grace_seconds == grace


def test_in_brief_a_workflow_has_nothing_that_may_be_long():
    given = {
        "source": {"inline": {"bank.py": "x" * 1000}},
        "input": {"text": "y" * 1000},
        "podTemplate": {"spec": {"nodeSelector": {"z": "z" * 1000}, "terminationGracePeriodSeconds": 7}},
        "suspend": True,
    }
    shown = brief(parse_workflow(workflow(given)))
    assert len(repr(shown)) < 1500
    assert shown.spec is not None
    assert (shown.spec.suspend, shown.spec.grace_seconds, shown.spec.brief) == (True, 7.0, True)


def test_a_template_that_is_nested_as_no_pod_is_is_refused():
    deep: object = {}
    for _ in range(200):
        deep = {"x": [deep]}
    assert "levels of it are nested" in problem_of(workflow({"podTemplate": {"spec": deep}}))


def test_of_a_pod_template_that_is_too_large_nothing_is_kept_but_why():
    template = {"spec": {"nodeSelector": {f"key-{number}": "x" * 50 for number in range(2_000)}}}
    parsed = parse_workflow(workflow({"podTemplate": template, "suspend": True}))
    assert parsed.spec is not None
    assert (parsed.spec.suspend, parsed.spec.pod_template) == (True, {})
    assert (parsed.problem or "").startswith("spec.podTemplate: it has ")
    assert "put large files and values into ConfigMaps" in (parsed.problem or "")


def test_a_problem_is_short_whatever_somebody_calls_his_things():
    assert len(problem_of(workflow({"source": {"inline": {"x" * 100_000: 7}}}))) < 1100


@pytest.mark.parametrize("size", [MAX_BYTES - 200, MAX_BYTES + 1])
def test_input_and_source_have_a_limit_together(size):
    half = size // 2
    spec = {"input": {"text": "x" * half}, "source": {"inline": {"bank.py": "é" * (half // 2)}}}
    problem = parse_workflow(workflow(spec)).problem
    assert (problem is None) == (size < MAX_BYTES)
    assert problem is None or "131072 are the most" in problem


@pytest.mark.parametrize(
    ("template", "path", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused_templates_are_a_problem(template, path, words):
    body = workflow({"podTemplate": template})
    assert f"spec.{path}: {words}" in problem_of(body)
    assert spec_of(body).pod_template == template


@pytest.mark.parametrize("template", TAKEN.values(), ids=TAKEN)
def test_other_templates_are_none(template):
    body = workflow({"podTemplate": template})
    assert parse_workflow(body).problem is None
    assert spec_of(body).pod_template == template


@given(spec=JSON)
def test_any_spec_is_read(spec):
    parsed = parse_workflow(workflow() | {"spec": spec})
    assert (parsed.spec is None) <= (parsed.problem is not None)


@given(field=st.sampled_from(["input", "source", "image", "podTemplate", "backoffLimit", "suspend"]), value=JSON)
def test_any_field_is_read(field, value):
    parsed = parse_workflow(workflow({field: value}))
    assert parsed.spec is not None or parsed.problem
    if parsed.spec is not None:
        json.loads(parsed.spec.input)


@given(body=st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), JSON))
def test_any_object_is_read(body):
    assert parse_workflow(body).problem


def test_a_deep_input_is_read_or_a_problem():
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    parsed = parse_workflow(workflow({"input": {"a": deep}}))
    assert parsed.spec is not None or parsed.problem
