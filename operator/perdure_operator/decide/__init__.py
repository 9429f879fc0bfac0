"""Decides about one Workflow: a pure and total function from the observed state to actions. The heart of the operator.

It checks in this order: has the Workflow finished, is the store consistent with its status, does the run exist, has the
run ended, does an attempt hold it. The first check that needs an action decides. If none does, the status shows why the
run waits, and a `RequeueAfter` makes sure that no Workflow depends on an event that may be lost.
"""

from .decision import decide

__all__ = ["decide"]
