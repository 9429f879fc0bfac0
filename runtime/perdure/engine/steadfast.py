"""A future that a cancellation of its waiter does not end: whoever waits for it goes on waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["SteadfastFuture"]


class SteadfastFuture(asyncio.Future[None]):
    """Notes cancellations, and says that they were taken, so that the waiting task does not even wake up.

    asyncio allows that: what a task waits for may be a task that catches its cancellation.

    Args:
        loop: whose.
        noted: learns of each cancellation, with its message; whether the future is to be cancelled after all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, noted: Callable[[Any], bool]) -> None:
        super().__init__(loop=loop)
        self._noted = noted

    def cancel(self, msg: Any = None) -> bool:
        if self.done():
            return False
        return super().cancel(msg) if self._noted(msg) else True
