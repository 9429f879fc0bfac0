"""How an attempt ends, and whether that counts against the workflow.

The store keeps the end as text (`perdure.attempts.ending`), and the SQL function `end_attempt` counts crashes and
disruptions by the same classes: tests/unit/test_attempt_ends.py compares the two.
"""

from __future__ import annotations

from enum import Enum, StrEnum

__all__ = ["AttemptEnd", "EndClass"]


class EndClass(Enum):
    """What an end counts as."""

    CRASH = "crash"
    """The workflow may be the cause: the run fails after `backoffLimit` of them in a row without a new checkpoint."""

    DISRUPTION = "disruption"
    """Something outside of the workflow ended the attempt. A limit of its own bounds these."""

    NEITHER = "neither"
    """Neither: not counted."""


class AttemptEnd(StrEnum):
    """The end of an attempt, as the store has it."""

    COMPLETED = "completed"
    """The attempt ended the run."""

    CRASHED = "crashed"
    """Its process died, and the end of the process is known."""

    LOST = "lost"
    """Its process died or hangs, and the end of the process is not known."""

    NEVER_BEGUN = "never begun"
    """Its process ended before it began the attempt."""

    RELEASED = "released"
    """Its process got a signal to stop, or its run was suspended."""

    EVICTED = "evicted"
    """Its pod was deleted or evicted."""

    NODE_LOST = "node lost"
    """Its node does not answer."""

    STORE_UNREACHABLE = "store unreachable"
    """Its process could not reach the store, or found another one."""

    BEGUN_ELSEWHERE = "begun elsewhere"
    """Another process began the attempt in place of its pod. The steps that it stored are deleted."""

    COULD_NOT_START = "could not start"
    """Its pod could not start, and it gave its place to another run (docs/adr/0023)."""

    SUPERSEDED = "superseded"
    """The run was claimed anew, cancelled or ended while the attempt held it."""

    @property
    def counts_as(self) -> EndClass:
        """Whether it is a crash, a disruption, or neither."""
        if self in _CRASHES:
            return EndClass.CRASH
        return EndClass.DISRUPTION if self in _DISRUPTIONS else EndClass.NEITHER

    @property
    def begun(self) -> bool:
        """Whether only an attempt that has begun ends so."""
        return self in _BEGUN


_CRASHES = frozenset({AttemptEnd.CRASHED, AttemptEnd.LOST, AttemptEnd.NEVER_BEGUN})
_DISRUPTIONS = frozenset({AttemptEnd.RELEASED, AttemptEnd.EVICTED, AttemptEnd.NODE_LOST})
_BEGUN = frozenset({AttemptEnd.COMPLETED, AttemptEnd.CRASHED, AttemptEnd.LOST})
