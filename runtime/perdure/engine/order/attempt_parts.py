"""Protocols of the parts that an attempt holds and that modules above it implement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ...definitions import StepDefinition
    from .outcome import Outcome

__all__ = ["Cleanup", "UsedOutcomes"]


class Cleanup(Protocol):
    """The cancellation of a run whose workflow cleans up: `cancellation.Cancellation`. Each `branch` is a `Branch`."""

    @property
    def has_struck(self) -> bool: ...

    @property
    def is_asked(self) -> bool: ...

    @property
    def begun(self) -> bool: ...

    def begin(self, main: Any, task: asyncio.Task[object] | None) -> None: ...

    def ask(self) -> None: ...

    def at_call(self, branch: Any, key: str) -> None: ...

    async def at_async_call(self, branch: Any, key: str) -> None: ...

    def waiting(self, branch: Any, wake: Callable[[], object]) -> AbstractContextManager[None]: ...

    def raise_if_due(self) -> None: ...


class UsedOutcomes(Protocol):
    """Outcomes that the workflow has used before they are in the store: `unstored.Unstored`."""

    @property
    def pending(self) -> bool: ...

    def store(self, step: StepDefinition, key: str, outcome: Outcome, started: int) -> bool: ...

    def hold(self) -> None: ...

    async def wait(self) -> None: ...

    async def settle_end(self) -> None: ...

    def then(self, callback: Callable[[], object]) -> None: ...

    def wait_in_thread(self) -> None: ...

    def wake(self) -> None: ...
