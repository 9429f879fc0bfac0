"""What of a Workflow can be changed, and with which words the API server refuses to change the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.api import ApiException, Json
from tests.cluster.cluster import Cluster

from .manifests import CONFIG_MAP, INLINE, LEAST, change, created, manifest, refusal

INPUTS: list[tuple[Any, Any]] = [
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"a": "1"}),
    ({"a": 1}, {"a": True}),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": 1, "b": 2}, {"a": 1}),
    ({"a": 1}, {}),
    ({"a": 1}, None),
    (None, {"a": 1}),
    ({"a": None}, {"b": None}),
    ({"a": None}, {"a": 0}),
    ({"a": None}, {}),
    ({"a": []}, {"a": None}),
    ({"a": {}}, {"a": []}),
    ({"a": {"x": 1}}, {"a": {"y": 1}}),
    ({"a": {"x": None}}, {"a": {"y": None}}),
    ({"a": {"x": None}}, {"a": {"x": {}}}),
    ({"a": {"x": []}}, {"a": {"x": None}}),
    ({"a": {"x": [{"y": 1}]}}, {"a": {"x": [{"z": 1}]}}),
    ({"a": [1, 2]}, {"a": [2, 1]}),
    ({"a-b": 1}, {"a_b": 1}),
    ({"a-b": 1}, {"a__dash__b": 1}),
    ({"": 1}, {" ": 1}),
]


@pytest.mark.parametrize(("old", "new"), INPUTS, ids=json.dumps)
def test_input_cannot_be_changed(cluster: Cluster, here: str, old: Any, new: Any) -> None:
    path = created(cluster, here, {**LEAST, **({} if old is None else {"input": old})})
    with pytest.raises(ApiException) as error:
        # Together with a change that is allowed.
        change(cluster, path, {**LEAST, "backoffLimit": 9, **({} if new is None else {"input": new})})
    assert refusal(error).endswith(
        "spec.input: Forbidden: input cannot be changed, added or removed;"
        " a run goes on with what it started with: create a new Workflow instead"
    )


IMMUTABLE: list[tuple[str, Json, Json, str]] = [
    (
        "another entrypoint",
        LEAST,
        {"entrypoint": "bank:refund"},
        "spec.entrypoint: Forbidden: entrypoint cannot be changed",
    ),
    (
        "another image",
        {**LEAST, "image": "a"},
        {**LEAST, "image": "b"},
        "spec.image: Forbidden: image cannot be changed",
    ),
    ("an image added", LEAST, {**LEAST, "image": "b"}, "spec.image: Forbidden: image cannot be changed, added"),
    (
        "an image removed",
        {**LEAST, "image": "a"},
        LEAST,
        "spec.image: Forbidden: image cannot be changed, added or removed",
    ),
    ("an image made null", {**LEAST, "image": "a"}, {**LEAST, "image": None}, "spec.image: Forbidden"),
    ("a source added", LEAST, INLINE, "spec.source: Forbidden: source cannot be changed, added or removed"),
    ("a source removed", INLINE, LEAST, "spec.source: Forbidden: source cannot be changed, added or removed"),
    ("a file's text", INLINE, {**LEAST, "source": {"inline": {"bank.py": "x = 2"}}}, "spec.source: Forbidden"),
    ("a file's name", INLINE, {**LEAST, "source": {"inline": {"bink.py": "x = 1"}}}, "spec.source: Forbidden"),
    (
        "a file added",
        INLINE,
        {**LEAST, "source": {"inline": {"bank.py": "x = 1", "b.py": ""}}},
        "spec.source: Forbidden",
    ),
    ("a source of another kind", INLINE, CONFIG_MAP, "spec.source: Forbidden"),
    ("another ConfigMap", CONFIG_MAP, {**LEAST, "source": {"configMap": {"name": "x"}}}, "spec.source: Forbidden"),
    (
        "cancel taken back",
        {**LEAST, "cancel": True},
        {**LEAST, "cancel": False},
        "spec.cancel: Forbidden: cancel cannot be",
    ),
    ("cancel removed", {**LEAST, "cancel": True}, LEAST, "spec.cancel: Forbidden: cancel cannot be taken back"),
    ("a bad template later", LEAST, {**LEAST, "podTemplate": {"spec": {"hostPID": True}}}, "hostPID must stay off"),
]


@pytest.mark.parametrize(("old", "new", "words"), [case[1:] for case in IMMUTABLE], ids=[case[0] for case in IMMUTABLE])
def test_what_a_run_starts_with_cannot_be_changed(
    cluster: Cluster, here: str, old: Json, new: Json, words: str
) -> None:
    path = created(cluster, here, old)
    with pytest.raises(ApiException) as error:
        change(cluster, path, new)
    assert words in refusal(error)


def test_what_steers_a_run_can_be_changed(cluster: Cluster, here: str) -> None:
    start = {**INLINE, "input": {"a": {"b": [1, None]}}, "suspend": True}
    path = created(cluster, here, start)
    steering = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": 60,
        "ttlSecondsAfterFinished": 0,
        "podTemplate": {"spec": {"containers": [{"name": "workflow", "resources": {"limits": {"memory": "2Gi"}}}]}},
    }
    changed = change(cluster, path, {**start, **steering})
    assert changed["metadata"]["generation"] == 2
    assert changed["spec"] == {**start, **steering, "cancel": False}
    back = change(cluster, path, {**start, "cancel": True})
    assert back["spec"] == {**start, "cancel": True, "backoffLimit": 6}


def test_apply_of_the_same_manifest_changes_nothing(cluster: Cluster, here: str) -> None:
    body = manifest({**INLINE, "suspend": True, "input": {"a": 1.5, "b": [True, None]}}, "applied")
    first = cluster.api.apply(f"{here}/applied", body)
    assert cluster.api.apply(f"{here}/applied", body)["metadata"]["generation"] == 1
    body["spec"]["input"] = {"b": 1.5}
    with pytest.raises(ApiException) as error:
        cluster.api.apply(f"{here}/applied", body)
    assert "input cannot be changed" in refusal(error)
    assert cluster.api.get(f"{here}/applied")["spec"] == first["spec"]
