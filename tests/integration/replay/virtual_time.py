"""Loops on virtual time: what they would sleep is added to their clock, so that an hour takes no time."""

from __future__ import annotations

import asyncio
import selectors

from perdure.engine.tasks.loop import RunLoop

__all__ = ["PlainLoop", "VirtualLoop"]


class _VirtualSelector(selectors.SelectSelector):
    """Waits in no time; with nothing to wait for but other threads, it waits for those."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        """Microseconds: whole ones, so that what is due in one order comes in that order."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(5.0)
        self.now += max(1, round(timeout * 1e6))
        return ready


class VirtualLoop(RunLoop):
    """For runs."""

    def __init__(self) -> None:
        self.virtual = _VirtualSelector()
        super().__init__(self.virtual)

    def real_time(self) -> float:
        return self.virtual.now / 1e6

    def nanoseconds(self) -> int:
        return self.virtual.now * 1000


class PlainLoop(asyncio.SelectorEventLoop):
    """For plain calls."""

    def __init__(self) -> None:
        self.virtual = _VirtualSelector()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.now / 1e6
