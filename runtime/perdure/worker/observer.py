"""Whether another process is dead, by what this one has itself seen of its counter. Pure.

A process is dead only once its counter stood still for a whole lease, on this observer's own monotonic clock, with
successful reads throughout. A read that failed or took long, or a pause of this observer, starts every observation
anew. So a store that was away, or any wall clock that jumped, is nobody's death.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from ..store.processes import Watched

__all__ = ["Death", "ProcessObserver"]


@dataclass(frozen=True, slots=True)
class Death:
    """A process seen dead, its counter as it was then, and how its attempts ended: in a word, and for people."""

    process: UUID
    counter: int | None
    ending: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Sight:
    counter: int | None
    since: float


class ProcessObserver:
    """Watches the counters of other processes.

    Args:
        lease: seconds for which a counter must have stood still.
        patience: seconds from one successful read to the next up to which they count as one observation.
        gone: whether a process is known to have ended: host, pid, start time.
    """

    def __init__(self, lease: float, patience: float, gone: Callable[[str, int, int], bool]) -> None:
        self._lease = lease
        self._patience = patience
        self._gone = gone
        self._sights: dict[UUID, _Sight] = {}
        self._last: float | None = None

    def read(self, asked: float, answered: float, watched: Iterable[Watched]) -> list[Death]:
        """Take in a successful read, asked for and answered at these times. Returns who is dead."""
        # The value is from some moment between the two times: whichever is worse for the verdict counts.
        if self._last is None or answered - self._last > self._patience:
            self._sights.clear()
        self._last = asked
        before, self._sights = self._sights, {}
        deaths: list[Death] = []
        for process in watched:
            who = "its process" if process.pid is None else f"its process (pid {process.pid} on {process.host})"
            if process.pid is not None and self._gone(process.host, process.pid, process.pid_started):
                deaths.append(Death(process.id, process.counter, "crashed", f"{who} died"))
                continue
            sight = before.get(process.id)
            if sight is None or sight.counter != process.counter:
                sight = _Sight(process.counter, answered)
            elif asked - sight.since >= self._lease:
                detail = f"{who} gave no sign of life for {self._lease:g} s"
                deaths.append(Death(process.id, process.counter, "lost", detail))
            self._sights[process.id] = sight
        return deaths

    def next_verdict(self) -> float | None:
        """When the first of the processes that were seen may be dead."""
        return min((sight.since + self._lease for sight in self._sights.values()), default=None)

    def failed(self) -> None:
        """Take in a read that failed."""
        self._sights.clear()
        self._last = None
