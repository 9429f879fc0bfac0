"""A future that a cancellation of its waiter does not end: whoever waits for it goes on waiting."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["SteadfastFuture"]


class SteadfastFuture(asyncio.Future[None]):
    """Says of cancellations that they were taken, so that the waiting task does not even wake up.

    asyncio allows that: what a task waits for may be a task that catches its cancellation.
    """

    __slots__ = ()

    def gives_way(self, msg: Any) -> bool:  # noqa: ARG002
        """A cancellation came, with this message; whether the future is to be cancelled after all."""
        return False

    def cancel(self, msg: Any = None) -> bool:
        if self.done():
            return False
        return super().cancel(msg) if self.gives_way(msg) else True
