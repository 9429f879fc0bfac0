"""What async workflows await where sync ones call a function of the same name of `perdure`."""

from __future__ import annotations

import asyncio
from datetime import datetime

from .durable_time import seconds_until
from .engine.branches.context import branch_here

__all__ = ["sleep_until"]


async def sleep_until(when: datetime) -> None:
    """Wait until a moment, by the run's clock; return at once if it is past. Outside a workflow by the system's clock.

    Raises:
        ValueError: `when` has no time zone.
        CancelledError: the waiting task is cancelled.
    """
    if (seconds := seconds_until(when, branch_here("perdure.aio.sleep_until"))) > 0:
        await asyncio.sleep(seconds)
