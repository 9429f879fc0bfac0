"""Database steps: a step's own writes and its checkpoint in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..context import StepContext
    from ..definitions import StepDefinition
    from .outcome import Outcome

__all__ = ["async_transaction", "transaction"]


def transaction(step: StepDefinition, context: StepContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    raise NotImplementedError


async def async_transaction(step: StepDefinition, context: StepContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    raise NotImplementedError
