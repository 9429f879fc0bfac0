"""Workflow code gives something to the outside: counted from then on until it is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lane import Lane

__all__ = ["hand_out", "hand_out_to_thread"]


def hand_out(lane: Lane, *, awaited: bool) -> Callable[[], None]:
    """Workflow code hands something out.

    Args:
        lane: the run's.
        awaited: whether a task waits for just that, so that replay gives it its time.

    Returns:
        What is to be called once it is back and whoever waits for it is on the way.
    """
    with lane.lock:
        number = lane.outside.open((lane.now, lane.process_time()) if awaited else None)

    def back() -> None:
        with lane.lock:
            lane.outside.close(number)
        lane.pump_soon()

    return back


def hand_out_to_thread(lane: Lane) -> Callable[[], None]:
    """The same for something that ends in another thread, after it gave what it had to the loop."""
    back = hand_out(lane, awaited=False)
    loop = lane.loop
    if loop is None:
        return back
    # One call later than what was given to the loop before, and one more than what the former gives to it.
    return lambda: loop.call_in_loop(loop.call_in_loop, back)
