"""The failure detector: whether another process is dead, by this one's own reads of its counter. Pure.

A process is dead only once its counter stood still for a whole lease, on this observer's own monotonic clock, with
successful reads throughout. A read that failed or took long, or a pause of this observer, starts every observation
anew. So neither an outage of the store nor a jump of a wall clock makes a process dead.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from perdure.attempt_ends import AttemptEnd

from ..store.workers.processes import Watched

__all__ = ["CounterFailureDetector", "Death", "ProcessFailureDetector"]

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Death:
    """A process seen dead, its counter as it was then, and how its attempts ended: in a word, and for people."""

    process: UUID
    counter: int | None
    ending: AttemptEnd
    detail: str


class CounterFailureDetector(Generic[K]):
    """Watches counters, whosever they are, and as many as there may be.

    Args:
        lease: seconds for which a counter must have stood still.
        patience: seconds from one successful read to the next up to which they count as one observation.
    """

    def __init__(self, lease: float, patience: float) -> None:
        self._lease = lease
        self._patience = patience
        self._sights: dict[K, tuple[int | None, float]] = {}
        self._last: float | None = None
        self.anew = True
        """Whether the last read began every observation anew."""

    def read(self, asked: float, answered: float, counters: Mapping[K, int | None]) -> list[K]:
        """Process a successful read, sent and answered at these times. Returns the keys whose counters stand still."""
        # The value is from some moment between the two times: the worse one for the verdict counts.
        self.anew = self._last is None or answered - self._last > self._patience
        if self.anew:
            self._sights = {}
        self._last = asked
        before, sights, still = self._sights, {}, []
        for key, counter in counters.items():
            sight = before.get(key)
            if sight is None or sight[0] != counter:
                sight = (counter, answered)
            elif asked - sight[1] >= self._lease:
                still.append(key)
            sights[key] = sight
        self._sights = sights
        return still

    def quiet(self, seconds: float) -> list[K]:
        """Whose counters had stood still for so long at the last read."""
        last = self._last
        return [] if last is None else [key for key, (_, since) in self._sights.items() if last - since >= seconds]

    def next_verdict(self) -> float | None:
        """When the first of the counters that were seen may have stood still for long enough."""
        return min((since + self._lease for _, since in self._sights.values()), default=None)

    def failed(self) -> None:
        """Take in a read that failed."""
        self._sights = {}
        self._last = None


class ProcessFailureDetector:
    """Watches other processes: their counters, and whether this machine knows that they have ended.

    Args:
        lease: seconds for which a counter must have stood still.
        patience: seconds from one successful read to the next up to which they count as one observation.
        gone: whether a process is known to have ended: host, pid, start time.
    """

    def __init__(self, lease: float, patience: float, gone: Callable[[str, int, int], bool]) -> None:
        self._lease = lease
        self._gone = gone
        self._counters = CounterFailureDetector[UUID](lease, patience)

    def read(self, asked: float, answered: float, watched: Iterable[Watched]) -> list[Death]:
        """Process a successful read, sent and answered at these times. Returns the dead processes."""
        living: dict[UUID, Watched] = {}
        deaths: list[Death] = []
        for process in watched:
            if process.pid is not None and self._gone(process.host, process.pid, process.pid_started):
                deaths.append(Death(process.id, process.counter, AttemptEnd.CRASHED, f"{_who(process)} died"))
            else:
                living[process.id] = process
        for still in self._counters.read(asked, answered, {key: one.counter for key, one in living.items()}):
            process = living[still]
            detail = f"{_who(process)} gave no sign of life for {self._lease:g} s"
            deaths.append(Death(process.id, process.counter, AttemptEnd.LOST, detail))
        return deaths

    def next_verdict(self) -> float | None:
        """When the first of the processes that were seen may be dead."""
        return self._counters.next_verdict()

    def failed(self) -> None:
        """Take in a read that failed."""
        self._counters.failed()


def _who(process: Watched) -> str:
    return "its process" if process.pid is None else f"its process (pid {process.pid} on {process.host})"
