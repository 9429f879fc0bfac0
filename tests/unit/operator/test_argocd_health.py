"""Argo CD's health check of Workflows, for each row of the condition table, and for what is no row of it."""

from __future__ import annotations

import pytest

from perdure_operator.api.status_document import status_document
from perdure_operator.decide.plan import Kind, Reason, Situation
from perdure_operator.decide.telling.status import status_of
from tests.harness.argocd import health

from .decide.builders import observed

HEALTH = {
    Kind.GOING: "Progressing",
    Kind.RESTING: "Suspended",
    Kind.STALLED: "Degraded",
    Kind.SUCCEEDED: "Healthy",
    Kind.FAILED: "Degraded",
}


def written(kind, reason):
    """A Workflow as the API server has it, with the status that tells a situation."""
    world = observed()
    status = status_of(world, Situation(kind, reason, "this is why"), restarted=False, restart_noted=True)
    return {"metadata": {"generation": world.workflow.generation}, "status": status_document(status)}


@pytest.mark.parametrize("kind", Kind)
def test_each_row_of_the_table(kind):
    assert health(written(kind, Reason.PENDING)) == (HEALTH[kind], "Pending: this is why")


def test_a_change_that_was_not_seen_yet_is_progress():
    body = written(Kind.SUCCEEDED, Reason.SUCCEEDED)
    body["metadata"]["generation"] += 1
    assert health(body)[0] == "Progressing"


@pytest.mark.parametrize("status", [None, {}, {"conditions": None}, {"phase": "Running"}])
def test_what_nobody_has_seen_yet_is_progress(status):
    body = {"metadata": {"generation": 1}, "status": status}
    assert health(body) == ("Progressing", "The operator has not seen it yet")
