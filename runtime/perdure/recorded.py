"""Time and chance as recorded values: drawn once, stored like a step's result, and the same on every replay."""

from __future__ import annotations

import random as _random
import uuid
from datetime import UTC, datetime
from typing import Any

from .definitions import StepDefinition
from .engine.branch import branch_here
from .engine.steps import call

__all__ = ["now", "random", "uuid4"]


def _now() -> datetime:
    return datetime.now(UTC)


def _draw() -> float:
    return _random.random()


def _uuid4() -> uuid.UUID:
    return uuid.uuid4()


_NOW = StepDefinition(_now, "perdure.now", reserved=True)
_RANDOM = StepDefinition(_draw, "perdure.random", reserved=True)
_UUID4 = StepDefinition(_uuid4, "perdure.uuid4", reserved=True)


def _value(definition: StepDefinition) -> Any:
    branch = branch_here(definition.name)
    return definition.function() if branch is None else call(definition, branch, (), {})


def now() -> datetime:
    """The time, in UTC."""
    return _value(_NOW)  # type: ignore[no-any-return]


def random() -> float:
    """A random number from 0 to below 1."""
    return _value(_RANDOM)  # type: ignore[no-any-return]


def uuid4() -> uuid.UUID:
    """A random UUID."""
    return _value(_UUID4)  # type: ignore[no-any-return]
