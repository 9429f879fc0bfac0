"""An async step's wait for the turn of its outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..tasks.steadfast import SteadfastFuture

if TYPE_CHECKING:
    from ...store.attempts.checkpoint import Settled
    from ..branches.branch import Branch
    from ..order.delivery import Delivery

__all__ = ["Turn"]


class Turn(SteadfastFuture):
    """Done once the outcome's turn has come. A cancellation before that is noted and does not end the wait."""

    __slots__ = ("branch", "delivery", "message", "settled", "struck")

    def __init__(self, branch: Branch) -> None:
        super().__init__(loop=branch.attempt.loop)
        self.branch = branch
        self.delivery: Delivery | None = None
        self.settled: Settled | None = None
        """The store's answer to the outcome's checkpoint."""
        self.struck = False
        """Whether a cancellation came while the task waited."""
        self.message: Any = None
        """The message of the first such cancellation."""

    def wake(self) -> None:
        """End the wait: the turn has come, or the attempt ends."""
        if not self.done():
            self.set_result(None)

    def settle(self, settled: Settled | None) -> None:
        """Take the store's answer (None: stored with the step's transaction). Without a delivery, the wait ends now."""
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
        """As `come`, after a CancelledError at the wait: the attempt ends, or the task was cancelled.

        asyncio raises a cancellation that comes between the turn and the task's next step: the future is done then and
        cannot take it.
        """
        self.branch.attempt.check()
        self.gives_way(getattr(self.branch.task, "cancel_message", None))
        await self.come()

    def gives_way(self, msg: Any) -> bool:
        """Note a cancellation. Returns whether it ends the wait, which it does only if the attempt ends."""
        if self.branch.attempt.signal is not None:
            return True
        if not self.struck:
            self.struck, self.message = True, msg
        if self.delivery is not None and not self.done():
            # On replay, a step that is recorded as cancelled gets its turn only after this.
            self.branch.attempt.scheduler.cancel_requested(self.delivery)
        return False
