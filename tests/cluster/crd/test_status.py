"""The status: written by server-side apply, read back as it was meant, and shown in columns."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from perdure_operator.api.status_document import canonical, read_status, status_document
from perdure_operator.decide.observed import Condition, Status
from tests.cluster.api import ApiException, Json
from tests.cluster.cluster import Cluster

from .manifests import LEAST, created, refusal


def status() -> Status:
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    condition = Condition("Finished", "False", "Running", "attempt 2 runs in pod w-2", moment, 1)
    return Status(
        observed_generation=1,
        store_id=uuid4(),
        phase="Running",
        conditions={"Finished": condition},
        start_time=moment,
        completion_time=moment,
        attempts=2,
        steps_completed=3,
        current_step="deposit",
        error_type="bank:Declined",
        error_message="no",
        pod_name="w-2",
        restart="1",
        cancel_time=moment,
    )


def write_status(cluster: Cluster, path: str, written: Status) -> Json:
    body = {"apiVersion": "perdure.io/v1alpha1", "kind": "Workflow", "status": status_document(written)}
    return cluster.api.patch(
        f"{path}/status",
        body,
        "application/apply-patch+yaml",
        fieldManager="perdure",
        force="true",
        fieldValidation="Strict",
    )


def test_status_is_written_and_read_by_itself(cluster: Cluster, here: str) -> None:
    path = created(cluster, here, LEAST)
    written = status()
    stored = write_status(cluster, path, written)
    assert stored["metadata"]["generation"] == 1
    assert stored["spec"]["entrypoint"] == LEAST["entrypoint"]
    assert read_status(stored["status"]) == written
    # Whoever may change the spec does not change the status, and what is no longer applied is gone.
    patched = cluster.api.patch(path, {"status": {"phase": "Succeeded"}, "spec": {"backoffLimit": 2}})
    assert patched["status"] == stored["status"]
    assert write_status(cluster, path, Status(phase="Pending"))["status"].keys() == {"phase", "attempts", "steps"}


RESULTS = [
    "null",
    "1",
    "1.0",
    "-0.0",
    "1e3",
    "1e300",
    str(2**70),
    '"x"',
    "[]",
    '{"b":1.0,"a":{"d":null,"c":[1e0]}}',
    "no JSON",
]


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_comes_back_as_it_was_foreseen(cluster: Cluster, here: str, result: str) -> None:
    path = created(cluster, here, LEAST)
    written = Status(phase="Succeeded", result=result)
    assert read_status(write_status(cluster, path, written)["status"]) == canonical(written)


def test_the_largest_status_is_taken(cluster: Cluster, here: str) -> None:
    path = created(cluster, here, LEAST)
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    types = ("Finished", "Succeeded", "Reconciling", "Stalled")
    long = "€" * 100_000
    conditions = {name: Condition(name, "True", "Because", long, moment, 2**40) for name in types}
    written = Status(
        phase="Failed",
        conditions=conditions,
        current_step=long,
        error_type=long,
        error_message=long,
        result=json.dumps(long),
    )
    stored = write_status(cluster, path, written)
    assert read_status(stored["status"]) == canonical(written)
    assert len(json.dumps(stored["status"], ensure_ascii=False).encode()) < 20_000


def test_a_phase_that_nobody_knows_is_refused(cluster: Cluster, here: str) -> None:
    path = created(cluster, here, LEAST)
    with pytest.raises(ApiException) as error:
        write_status(cluster, path, Status(phase="Resting"))
    assert 'status.phase: Unsupported value: "Resting"' in refusal(error)


def test_columns_tell_how_a_run_stands(cluster: Cluster, here: str) -> None:
    path = created(cluster, here, LEAST)
    write_status(cluster, path, status())
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    cluster.api.client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
    response = cluster.api.client.call_api("GET", f"{cluster.api.client.configuration.host}{path}", headers)
    table = json.loads(response.read())
    names = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert names == ["Name", "Phase", "Steps", "Attempts", "Age"]
    assert [column["name"] for column in table["columnDefinitions"] if column["priority"] == 1] == ["Reason", "Message"]
    cells = dict(zip((column["name"] for column in table["columnDefinitions"]), table["rows"][0]["cells"], strict=True))
    assert (cells["Phase"], cells["Steps"], cells["Attempts"]) == ("Running", 3, 2)
    assert (cells["Reason"], cells["Message"]) == ("Running", "attempt 2 runs in pod w-2")


def test_workflows_are_selected_by_fields_and_listed_with_all(cluster: Cluster, here: str) -> None:
    path = created(cluster, here, {"entrypoint": "chosen:one"})
    write_status(cluster, path, Status(phase="Stalled"))
    for selector in (
        "spec.entrypoint=chosen:one",
        "status.phase=Stalled",
        "spec.suspend=true,spec.entrypoint=chosen:one",
    ):
        found = cluster.api.get(here, fieldSelector=selector)["items"]
        assert [one["metadata"]["name"] for one in found] == [path.rpartition("/")[2]]
    (resource,) = (
        one for one in cluster.api.get("/apis/perdure.io/v1alpha1")["resources"] if one["name"] == "workflows"
    )
    assert (resource["shortNames"], resource["categories"]) == (["dwf"], ["all", "perdure"])
