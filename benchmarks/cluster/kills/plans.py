"""What the runs of the load are, all of it drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.cluster.api import Json
from tests.cluster.product import workflows
from tests.cluster.product.postgres import POD_SECRET

__all__ = ["RACED", "Plan", "plans"]

RACED = "raced"
_SHAPES = ("in_turn", "in_loop", "gathered", "in_threads", RACED)
_AT_A_TIME = {"gathered": 4, "in_threads": 4}
_CODE = Path(__file__).with_name("flows.py").read_text()
_STEPS = (15, 60)  # so that all tokens fit into a status
_CANCELLED = 0.1
_CANCELLED_AFTER = (3.0, 25.0)
_BACKOFF_LIMIT = 100  # no number of kills ends a run


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: `shape` is the function of flows.py, which returns `steps` tokens."""

    number: int
    shape: str
    steps: int
    cancelled_after: float | None
    """Seconds from its creation."""

    @property
    def name(self) -> str:
        return f"load-{self.number:04}"

    def workflow(self) -> Json:
        """Its Workflow."""
        given: dict[str, Any] = {"input": {"steps": self.steps}, "backoffLimit": _BACKOFF_LIMIT}
        body = workflows.workflow(self.name, _CODE, f"flow:{self.shape}", **given)
        return workflows.with_url(body, "NOTED_URL", POD_SECRET)


def plans(random: Random) -> Iterator[Plan]:
    """One after the other, without an end."""
    number = 0
    while True:
        number += 1
        shape = random.choice(_SHAPES)
        steps = random.randint(*_STEPS) * _AT_A_TIME.get(shape, 1)
        cancelled_after = random.uniform(*_CANCELLED_AFTER) if random.random() < _CANCELLED else None
        yield Plan(number, shape, steps, cancelled_after)
