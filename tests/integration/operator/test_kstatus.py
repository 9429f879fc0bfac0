"""What tools that know no Workflow read in its status: the kstatus of Flux and Helm 4 itself, and Argo CD's check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from perdure_operator.api.names import API_VERSION, KIND
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.status_document import status_document
from perdure_operator.decide.observed import Condition, Status, Workflow
from perdure_operator.decide.plan import Reason
from tests.harness.argocd import health
from tests.harness.kstatus import statuses
from tests.unit.operator.decide.builders import NOW, told, workflow
from tests.unit.operator.decide.kstatus import kstatus as by_our_rules
from tests.unit.operator.decide.telling.test_status import ROWS

HEALTH = {"InProgress": "Progressing", "Current": "Healthy", "Failed": "Degraded"}


def body_of(workflow: Workflow) -> dict[str, Any]:
    """A Workflow as the API server has it, as far as these look."""
    deleting = {"deletionTimestamp": "2026-05-01T12:00:00Z"} if workflow.deleting else {}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "one", "namespace": "shop", "generation": workflow.generation, **deleting},
        "status": status_document(workflow.status),
    }


def test_every_reason_is_read_as_the_table_says_from_the_api_server_itself(scene: Any, namespace: str) -> None:
    bodies = []
    for name, seen, _, _ in ROWS:
        scene.apply(name.lower())
        path = f"/apis/perdure.io/v1alpha1/namespaces/{namespace}/workflows/{name.lower()}/status"
        bodies.append(scene.api.patch(path, {"status": status_document(told(seen).workflow.status)}))
    expected = [read for *_, read in ROWS]
    assert {name for name, *_ in ROWS} == set(Reason)
    assert statuses(bodies) == expected
    assert [by_our_rules(parse_workflow(body)) for body in bodies] == expected
    for (name, *_, read), body in zip(ROWS, bodies, strict=True):
        assert health(body)[0] == ("Suspended" if name in ("Suspended", "Waiting") else HEALTH[read]), name


def test_nobody_takes_what_no_operator_has_seen_for_done(scene: Any) -> None:
    scene.apply()
    body = scene.get()
    assert (statuses([body]), health(body)[0]) == (["InProgress"], "Progressing")


def test_our_rules_are_those_of_the_original() -> None:
    """The tests of decide() go by rules of ours, since they ask a million times."""
    kinds = ("Ready", "Reconciling", "Stalled", "Finished")
    seen = [
        replace(
            workflow(deleting=deleting),
            status=Status(observed_generation=generation, conditions=_conditions(kinds, given)),
        )
        for given in product((None, "True", "False", "Unknown"), repeat=len(kinds))
        for generation, deleting in product((None, -1, 1, 2), (False, True))
    ]
    read = statuses([body_of(one) for one in seen])
    assert len(read) == 4**4 * 4 * 2
    assert set(read) == {"InProgress", "Current", "Failed", "Terminating"}
    for one, by_them in zip(seen, read, strict=True):
        assert by_our_rules(one) == by_them, one


def _conditions(kinds: Sequence[str], states: Sequence[str | None]) -> dict[str, Condition]:
    given = zip(kinds, states, strict=True)
    return {kind: Condition(kind, state, "R", "m", NOW, 1) for kind, state in given if state is not None}
