"""Workflow code gives something to the outside: counted from then on until it is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scheduler import Scheduler

__all__ = ["hand_out", "hand_out_to_thread"]


def hand_out(scheduler: Scheduler, *, awaited: bool) -> Callable[[], None]:
    """Workflow code hands something out.

    Args:
        scheduler: the run's.
        awaited: whether a task waits for just that, so that replay gives it its time.

    Returns:
        What is to be called once it is back and whoever waits for it is on the way.
    """
    with scheduler.lock:
        number = scheduler.outside.open((scheduler.now, scheduler.process_time()) if awaited else None)

    def back() -> None:
        with scheduler.lock:
            scheduler.outside.close(number)
        scheduler.pump_soon()

    return back


def hand_out_to_thread(scheduler: Scheduler) -> Callable[[], None]:
    """The same for something that ends in another thread, after it gave what it had to the loop."""
    back = hand_out(scheduler, awaited=False)
    loop = scheduler.loop
    if loop is None:
        return back
    # One call later than what was given to the loop before, and one more than what the former gives to it.
    return lambda: loop.call_in_loop(loop.call_in_loop, back)
