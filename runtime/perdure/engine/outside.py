"""What workflow code has given to the outside and not got back: threads of its own, sockets, other executors.

Each such thing is counted from when it is handed out until what it came to has been told in the run. Its end is
recorded nowhere, so replay gives it the time that it had: no event that came later by the run's clock is delivered
until it has waited as long.
"""

from __future__ import annotations

__all__ = ["Outside"]


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
