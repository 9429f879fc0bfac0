"""What to do about one Workflow, as a pure and total function of what was observed: the heart of the operator.

It asks in this order: has the Workflow finished, is the store the one that its status rests on, is there a run, has it
ended, does an attempt hold it. The first of these that needs something done is the answer; else the status tells what
it waits for, and a `RequeueAfter` sees to it that nothing rests on an event that may never come.
"""

from .decision import decide

__all__ = ["decide"]
