"""An async step's wait for the turn of its outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .steadfast import SteadfastFuture

if TYPE_CHECKING:
    from ..store.attempts.checkpoint import Settled
    from .branch import Branch
    from .delivery import Delivery

__all__ = ["Turn"]


class Turn(SteadfastFuture):
    """Done once the outcome's turn has come. A cancellation meanwhile is noted and does not end the wait."""

    __slots__ = ("branch", "delivery", "message", "settled", "struck")

    def __init__(self, branch: Branch) -> None:
        super().__init__(loop=branch.attempt.loop)
        self.branch = branch
        self.delivery: Delivery | None = None
        self.settled: Settled | None = None
        self.struck = False
        """Whether a cancellation came."""
        self.message: Any = None
        """Of the first one."""

    def wake(self) -> None:
        """The turn has come."""
        if not self.done():
            self.set_result(None)

    def settle(self, settled: Settled | None) -> None:
        """The outcome is stored; a lone branch goes on, another waits for its turn."""
        self.settled = settled
        if self.delivery is None:
            self.wake()
        else:
            self.branch.attempt.scheduler.stored(self.delivery)

    async def come(self) -> None:
        """Wait for the turn.

        Raises:
            ControlSignal: the attempt ends.
        """
        try:
            await self
        except asyncio.CancelledError:
            await self.come_all_the_same()
        self.branch.attempt.check()

    async def come_all_the_same(self) -> None:
        """As `come`, where the wait was cancelled: from before it began, as asyncio keeps that for the first wait."""
        self.branch.attempt.check()
        self.gives_way(getattr(self.branch.task, "cancel_message", None))
        await self.come()

    def gives_way(self, msg: Any) -> bool:
        """Note a cancellation; the end of the attempt alone ends the wait."""
        if self.branch.attempt.signal is not None:
            return True
        if not self.struck:
            self.struck, self.message = True, msg
        if self.delivery is not None and not self.done():
            self.branch.attempt.scheduler.cancel_requested(self.delivery)
        return False
