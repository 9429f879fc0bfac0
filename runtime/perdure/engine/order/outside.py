"""The outside of a run: threads that workflow code starts, sockets, and calls in other executors.

Each such thing counts from when workflow code hands it out until its end has reached the run. Its end is not recorded.
So where a task waits for the thing alone, replay gives it the time that it had: replay delivers a later event only
after the thing has been out for as long as it was before that event.
"""

from __future__ import annotations

__all__ = ["Outside"]


class Outside:
    """The things of one run that are out."""

    __slots__ = ("_number", "out")

    def __init__(self) -> None:
        self._number = 0
        self.out: dict[int, tuple[float, int] | None] = {}
        """When each thing was handed out, as in `open`; None where no task waits for this thing alone."""

    def __bool__(self) -> bool:
        return bool(self.out)

    def open(self, since: tuple[float, int] | None) -> int:
        """Count a thing that is handed out now. Returns its number.

        Args:
            since: now, in seconds of the run's clock and in nanoseconds of the process's; None: replay does not hold
                back events for the thing.
        """
        self._number += 1
        self.out[self._number] = since
        return self._number

    def close(self, number: int) -> None:
        """Stop counting a thing, whose end has reached the run. A second call does nothing."""
        self.out.pop(number, None)

    def hold(self, clock: float, nanoseconds: int, began: float = 0.0) -> float:
        """Seconds that replay must wait before an event, so that each thing has the time that it had before that event.

        Args:
            clock: the event's reading of the run's clock, in seconds.
            nanoseconds: now, on the process's clock.
            began: the reading at which the attempt of that event began. Before that nothing of it was out.
        """
        held = 0.0
        for since in self.out.values():
            if since is not None:
                held = max(held, (clock - max(since[0], began)) - (nanoseconds - since[1]) / 1e9)
        return held
