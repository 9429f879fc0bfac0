"""A status as JSON and back: bounded, tolerant, and foreseeable."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure_operator.api.status_document import canonical, read_status, same, status_document
from perdure_operator.decide.observed import Condition, Status

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUS = Status(
    observed_generation=2,
    store_id=uuid4(),
    phase="Failed",
    conditions={"Finished": Condition("Finished", "True", "Failed", "it raised", NOON, 2)},
    start_time=NOON,
    completion_time=NOON,
    attempts=2,
    steps_completed=3,
    current_step="deposit",
    result='{"a":1}',
    error_type="bank:Declined",
    error_message="no",
    pod_name="w-2",
    restart="again",
    cancel_time=NOON,
)


def test_document():
    document = status_document(STATUS)
    assert document["conditions"] == [
        {
            "type": "Finished",
            "status": "True",
            "reason": "Failed",
            "message": "it raised",
            "lastTransitionTime": "2026-03-01T12:00:00Z",
            "observedGeneration": 2,
        }
    ]
    assert document["steps"] == {"completed": 3, "current": "deposit"}
    assert document["error"] == {"type": "bank:Declined", "message": "no"}
    assert document["result"] == {"a": 1}
    assert document["startTime"] == "2026-03-01T12:00:00Z"


def test_round_trip():
    assert read_status(status_document(STATUS)) == STATUS
    assert read_status({}) == read_status(None) == Status()


def test_what_is_not_there_is_not_written():
    assert status_document(Status()) == {"attempts": 0, "steps": {"completed": 0}}


def test_null_is_a_result():
    assert status_document(Status(result="null"))["result"] is None
    assert read_status({"result": None}).result == "null"
    assert "result" not in status_document(Status(result=None))


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        ('{"b": 1.0, "a": [1e3, 0.5]}', '{"a":[1000,0.5],"b":1}'),
        (str(2**63), str(float(2**63))),
        ("1e400", '"inf"'),
        ("see the store", '"see the store"'),
        ("NaN", '"NaN"'),
    ],
)
def test_results_are_as_the_api_server_keeps_them(result, stored):
    assert canonical(Status(result=result)).result == stored


def test_sizes_are_bounded():
    long = "€" * 100_000
    conditions = {"Finished": replace(STATUS.conditions["Finished"], message=long)}
    status = replace(
        STATUS, conditions=conditions, current_step=long, error_type=long, error_message=long, result=json.dumps(long)
    )
    document = status_document(status)
    assert len(document["error"]["message"].encode()) <= 1024
    assert len(document["conditions"][0]["message"].encode()) <= 2048
    assert document["error"]["message"].endswith("…")
    assert len(json.dumps(document, ensure_ascii=False).encode()) < 16_000


def test_the_largest_result_is_shown_whole():
    text = json.dumps("x" * 4094)
    assert len(text) == 4096
    assert status_document(Status(result=text))["result"] == "x" * 4094
    assert "too long" in status_document(Status(result=json.dumps("x" * 4095)))["result"]


def test_statuses_are_the_same_whenever_they_began():
    later = {name: replace(one, since=NOON.replace(hour=13)) for name, one in STATUS.conditions.items()}
    assert same(STATUS, replace(STATUS, conditions=later, result='{"a": 1.0}'))
    assert not same(STATUS, replace(STATUS, steps_completed=4))


@pytest.mark.parametrize(
    "raw",
    [
        {"attempts": "2"},
        {"attempts": -1},
        {"attempts": True},
        {"storeId": "x"},
        {"storeId": 7},
        {"conditions": {"Finished": "True"}},
        {
            "conditions": [
                7,
                {},
                {"type": "Finished"},
                {"type": "Finished", "status": "True", "lastTransitionTime": "soon"},
            ]
        },
        {"startTime": "yesterday"},
        {"startTime": 7},
        {"steps": 3},
        {"steps": {"completed": None, "current": 7}},
        {"error": "x"},
        "x",
        [],
    ],
)
def test_odd_fields_are_as_if_not_there(raw):
    assert read_status(raw) == Status()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)


@given(value=JSON)
def test_what_is_read_is_what_is_foreseen(value):
    status = canonical(Status(result=json.dumps(value)))
    assert canonical(status) == status
    json.dumps(status_document(status), allow_nan=False).encode()


@given(raw=JSON | st.dictionaries(st.sampled_from(["conditions", "steps", "error", "result", "storeId"]), JSON))
def test_anything_is_read(raw):
    assert isinstance(read_status(raw), Status)
