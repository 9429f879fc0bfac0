"""Chance that is the same on every replay.

It is derived from the run's secret, the branch and the number of the draw there, so a draw costs no statement and
nothing has to be stored or waited for.
"""

from __future__ import annotations

import random as _random
import uuid

from .definitions import StepDefinition
from .engine.branches.branch import Branch
from .engine.branches.context import branch_here
from .engine.steps.step_call import call

__all__ = ["is_recorded", "random", "uuid4"]


def _random_float() -> float:
    return _random.random()


def _random_uuid() -> uuid.UUID:
    return uuid.uuid4()


# What runs recorded that drew before chance was derived.
_RANDOM = StepDefinition(_random_float, "perdure.random", reserved=True)
_UUID4 = StepDefinition(_random_uuid, "perdure.uuid4", reserved=True)


def random() -> float:
    """A random number from 0 to below 1."""
    branch = branch_here("perdure.random")
    if branch is None:
        return _random.random()
    if is_recorded(branch, _RANDOM):
        return call(_RANDOM, branch, (), {})  # type: ignore[return-value]
    # As many bits as a float has, as in the standard library.
    return (int.from_bytes(_derived(branch, "perdure.random")[:7]) >> 3) / (1 << 53)


def uuid4() -> uuid.UUID:
    """A random UUID."""
    branch = branch_here("perdure.uuid4")
    if branch is None:
        return uuid.uuid4()
    if is_recorded(branch, _UUID4):
        return call(_UUID4, branch, (), {})  # type: ignore[return-value]
    return uuid.UUID(bytes=_derived(branch, "perdure.uuid4"), version=4)


def is_recorded(branch: Branch, definition: StepDefinition) -> bool:
    """Whether the branch's next recorded call is this one: an older release stored what is derived today."""
    return branch.attempt.journal.next_key(branch.path) == branch.upcoming_key(definition.name)


def _derived(branch: Branch, name: str) -> bytes:
    """16 bytes that cannot be guessed without the run's secret."""
    branch.attempt.check()
    drawn = branch.attempt.keyed.copy()
    drawn.update(branch.next_key(name).encode())
    return drawn.digest()
