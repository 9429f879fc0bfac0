"""A Workflow from `kubectl apply` to its result."""

from __future__ import annotations

from . import workflows
from .installation import Installation

HELLO = """
from perdure import step, workflow

@step
def greet(name: str) -> str:
    return f"Hello, {name}"

@workflow
def flow(name: str = "world") -> str:
    return greet(name)
"""


def test_a_workflow_runs(perdure: Installation, workspace: str) -> None:
    made = workflows.create(perdure.cluster, workspace, workflows.workflow("hello", HELLO, input={"name": "Ada"}))
    finished = workflows.until_finished(perdure.cluster, workspace, "hello")
    assert workflows.condition(finished, "Succeeded")["status"] == "True"
    assert finished["status"]["result"] == "Hello, Ada"
    assert [row["step_key"] for row in perdure.store.steps(made["metadata"]["uid"])] == ["greet"]
