"""A future that the cancellation of a waiting task does not end: the task goes on waiting."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["SteadfastFuture"]


class SteadfastFuture(asyncio.Future[None]):
    """Reports each cancellation as taken and does not end, so the waiting task does not even wake up.

    asyncio allows this: a task may wait for another task, and that one may catch its cancellation.
    """

    __slots__ = ()

    def gives_way(self, msg: Any) -> bool:  # noqa: ARG002
        """Take a cancellation with this message. Returns whether to cancel the future after all."""
        return False

    def cancel(self, msg: Any = None) -> bool:
        if self.done():
            return False
        return super().cancel(msg) if self.gives_way(msg) else True
