"""Workflows that were stored before the schema was what it is: they are listed, read as a problem, and can be deleted.

The CRD is installed under another group for this, with a schema that takes anything at first.
"""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest

from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.status_document import status_document
from perdure_operator.decide.observed import Status
from tests.cluster.api import ApiException, Json
from tests.cluster.cluster import Cluster
from tests.cluster.crds import crd_path, install_crd, until_served, workflow_crd
from tests.harness.eventually import eventually

from .manifests import LEAST

ODD: dict[str, Any] = {
    "nothing": None,
    "no-entrypoint": {"spec": {}},
    "a-list": {"spec": []},
    "a-text": {"spec": "bank:transfer"},
    "other-types": {"spec": {"entrypoint": 7, "backoffLimit": "6", "suspend": "yes", "cancel": 1, "podTemplate": []}},
    "an-input": {"spec": {**LEAST, "input": [1]}},
    "two-sources": {"spec": {**LEAST, "source": {"inline": {"a.py": ""}, "configMap": {"name": "a"}}}},
    "a-bad-template": {"spec": {**LEAST, "podTemplate": {"spec": {"hostPID": True, "containers": [{"image": "x"}]}}}},
    "a-long-input": {"spec": {**LEAST, "input": {"text": "x" * 200_000}}},
    "a-status": {"spec": {"entrypoint": "none"}, "status": {"conditions": "none", "attempts": "many", "phase": 3}},
}


@pytest.fixture(scope="module")
def old_kind(cluster: Cluster, here: str) -> Iterator[str]:
    """The path of Workflows of another group, among them the odd ones, under today's schema."""
    group = f"old-{token_hex(3)}.example"
    definition = workflow_crd()
    definition["metadata"]["name"] = f"workflows.{group}"
    definition["spec"] |= {"group": group, "names": {"plural": "workflows", "kind": "Workflow"}}
    version = definition["spec"]["versions"][0]
    schema, selectable = version["schema"], version.pop("selectableFields")
    version["schema"] = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version["subresources"] = {}
    path = f"/apis/{group}/v1alpha1/namespaces/{here.split('/')[5]}/workflows"
    try:
        install_crd(cluster.api, definition)
        for title, body in ODD.items():
            head = {"apiVersion": f"{group}/v1alpha1", "kind": "Workflow", "metadata": {"name": title}}
            cluster.api.create(path, {**head, **(body or {})})
        version |= {"schema": schema, "subresources": {"status": {}}, "selectableFields": selectable}
        install_crd(cluster.api, definition)
        eventually(lambda: refuses(cluster, path, group))
        until_served(cluster.api, definition)
        yield path
    finally:
        cluster.api.delete(crd_path(definition))


def refuses(cluster: Cluster, path: str, group: str) -> bool:
    body = {"apiVersion": f"{group}/v1alpha1", "kind": "Workflow", "metadata": {"name": "x"}}
    try:
        cluster.api.create(f"{path}?dryRun=All", body)
    except ApiException as error:
        return error.status == 422
    return False


def stored(cluster: Cluster, path: str) -> dict[str, Json]:
    return {one["metadata"]["name"]: one for one in cluster.api.get(path)["items"]}


def test_they_are_listed_and_each_is_a_problem(cluster: Cluster, old_kind: str) -> None:
    listed = stored(cluster, old_kind)
    assert listed.keys() == ODD.keys()
    for title, body in listed.items():
        parsed = parse_workflow(body)
        assert parsed.key.name == title
        assert parsed.problem


def write_status(cluster: Cluster, path: str) -> Json:
    head = {"apiVersion": "/".join(path.split("/")[2:4]), "kind": "Workflow"}
    body = {**head, "status": status_document(Status(phase="Stalled"))}
    return cluster.api.patch(
        f"{path}/status", body, "application/apply-patch+yaml", fieldManager="perdure", force="true"
    )


@pytest.mark.parametrize("title", ["nothing", "no-entrypoint", "two-sources", "a-long-input"])
def test_a_status_tells_of_it(cluster: Cluster, old_kind: str, title: str) -> None:
    assert write_status(cluster, f"{old_kind}/{title}")["status"]["phase"] == "Stalled"


@pytest.mark.parametrize("title", ["a-list", "a-text", "other-types", "an-input", "a-bad-template"])
def test_where_a_spec_has_other_types_no_status_can_be_written(cluster: Cluster, old_kind: str, title: str) -> None:
    """What the operator has to live with: an event is the only way to tell of it."""
    with pytest.raises(ApiException) as error:
        write_status(cluster, f"{old_kind}/{title}")
    # Not that it would work at the next try.
    assert error.value.status == 500
    assert "failed to create typed live object" in (error.value.body or "")
    with pytest.raises(ApiException) as error:
        cluster.api.patch(f"{old_kind}/{title}/status", {"status": {"phase": "Stalled"}})
    assert error.value.status == 422


def test_a_status_of_other_types_can_be_taken_away_and_written_anew(cluster: Cluster, old_kind: str) -> None:
    path = f"{old_kind}/a-status"
    with pytest.raises(ApiException) as error:
        write_status(cluster, path)
    assert error.value.status == 500
    cluster.api.patch(f"{path}/status", {"status": None})
    assert write_status(cluster, path)["status"]["phase"] == "Stalled"


@pytest.mark.parametrize("title", ODD)
def test_they_can_be_deleted(cluster: Cluster, old_kind: str, title: str) -> None:
    cluster.api.delete(f"{old_kind}/{title}")
    eventually(lambda: title not in stored(cluster, old_kind))
