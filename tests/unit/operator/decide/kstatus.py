"""What kstatus makes of an object of a kind that it does not know, after sigs.k8s.io/cli-utils/pkg/kstatus/status."""

from __future__ import annotations

from perdure_operator.decide.observed import Workflow


def kstatus(workflow: Workflow | None) -> str:
    """`InProgress`, `Failed`, `Current`, `Terminating` or `NotFound`: the generic rules, in their order."""
    if workflow is None:
        return "NotFound"
    if workflow.deleting:
        return "Terminating"
    status = workflow.status
    if status.observed_generation is not None and status.observed_generation != workflow.generation:
        return "InProgress"
    states = {name: condition.status for name, condition in status.conditions.items()}
    if states.get("Reconciling") == "True":
        return "InProgress"
    if states.get("Stalled") == "True":
        return "Failed"
    return "InProgress" if states.get("Ready") in ("False", "Unknown") else "Current"
