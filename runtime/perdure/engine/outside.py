"""What workflow code has given to the outside and not got back: threads of its own, sockets, other executors.

Each such thing is counted from when it is handed out until what it came to has been told in the run. Its end is
recorded nowhere, so replay gives it the time that it had: no event that came later by the run's clock is delivered
until it has waited as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lane import Lane

__all__ = ["Outside", "hand_out", "hand_out_to_thread"]


class Outside:
    """The things that are out."""

    __slots__ = ("_number", "out")

    def __init__(self) -> None:
        self._number = 0
        self.out: dict[int, tuple[float, int] | None] = {}
        """When each was handed out, by the run's clock and the process's; None where no task waits for just that."""

    def __bool__(self) -> bool:
        return bool(self.out)

    def open(self, since: tuple[float, int] | None) -> int:
        """Something was handed out. `since`: now, by the run's clock in seconds and the process's in nanoseconds."""
        self._number += 1
        self.out[self._number] = since
        return self._number

    def close(self, number: int) -> None:
        """It is back, and the run knows."""
        self.out.pop(number, None)

    def hold(self, clock: float, nanoseconds: int) -> float:
        """Seconds that replay has to wait before what came at `clock`, for it to find the outside as it was then."""
        held = 0.0
        for since in self.out.values():
            if since is not None:
                held = max(held, (clock - since[0]) - (nanoseconds - since[1]) / 1e9)
        return held


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
