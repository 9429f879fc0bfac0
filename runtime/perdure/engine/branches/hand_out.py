"""Counts each thing that workflow code hands to the outside, until the thing is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..order.scheduler import Scheduler

__all__ = ["hand_out", "hand_out_to_thread"]


def hand_out(scheduler: Scheduler, *, awaited: bool) -> Callable[[], None]:
    """Count a thing that workflow code hands to the outside now.

    Args:
        scheduler: the run's scheduler.
        awaited: whether a task waits for this thing alone, so that replay gives it the time that it had.

    Returns:
        A function to be called when the thing is back and the task that waits for it is to go on.
    """
    with scheduler.lock:
        number = scheduler.outside.open((scheduler.now, scheduler.process_time()) if awaited else None)

    def back() -> None:
        with scheduler.lock:
            scheduler.outside.close(number)
        scheduler.pump_soon()

    return back


def hand_out_to_thread(scheduler: Scheduler) -> Callable[[], None]:
    """As `hand_out`, for a thing that ends in another thread after it has given its results to the loop."""
    back = hand_out(scheduler, awaited=False)
    loop = scheduler.loop
    if loop is None:
        return back
    # Two calls later: the first runs behind the callbacks that the thread gave to the loop, the second behind the
    # callbacks that those schedule. So the run does not rest before its tasks have the thread's results.
    return lambda: loop.call_in_loop(loop.call_in_loop, back)
