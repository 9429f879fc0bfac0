"""Bars Workflows in the operator's own namespace from starting, unless its settings allow that (docs/adr/0027).

A user who may create Workflows in a namespace can give their pods all of its service accounts and Secrets; in this
namespace, those of the operator. So no run, no attempt and no pod starts there. An attempt that had begun before the
setting took effect continues; its steps are kept, and the next attempt waits until a person allows it.
"""

from __future__ import annotations

from .observed import Observed
from .plan import Plan, Reason, stalled
from .timeouts import LOOK_STALLED

__all__ = ["barred", "namespace_refused"]


def barred(observed: Observed) -> bool:
    """Whether the Workflow is in a namespace in which nothing starts."""
    return observed.policy.bars(observed.workflow.key)


def namespace_refused(observed: Observed) -> Plan:
    """The plan for a Workflow there: it waits until a person creates it elsewhere, or allows it."""
    where = observed.workflow.key.namespace
    kept = "" if observed.run is None else " What the run has finished is kept."
    message = (
        f"no Workflow starts in {where}, the operator's own namespace, where its pod could have the operator's service"
        f" account and Secrets: create it in another namespace, or allow it (the chart's value"
        f" workflows.inReleaseNamespace).{kept}"
    )
    return stalled(Reason.NAMESPACE_REFUSED, message, LOOK_STALLED * 10)
