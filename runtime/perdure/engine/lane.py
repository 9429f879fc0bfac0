"""The order in which a run's branches learn the outcomes of their steps: the same live and on replay.

Every accepted outcome has an ordinal and a reading of the run's own clock. Outcomes are delivered one at a time in
the order of their ordinals, the next one only when the run has come to rest (no task of it can go on, no thread of
it runs workflow code); live ones only after every recorded one. The clock stands still between events: it moves to
an outcome's reading when that is delivered, and to a timer's due time when that fires. A timer fires before an
outcome exactly if it is due by the outcome's reading, so timeouts and sleeps of workflow code choose on replay as
they chose before, and replay does not wait for them.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from threading import RLock
from typing import TYPE_CHECKING, Any

from .journal import Journal, Recorded

if TYPE_CHECKING:
    from .branch import Branch
    from .cancellation import Cancellation
    from .loop import RunLoop

__all__ = ["Delivery", "Lane", "LaneTimer"]

_SPINS = 1000
"""Turns that a run may take without coming to rest before an outcome is delivered all the same: it polls for it."""

_STUCK_GRACE = 30.0
"""Seconds that replay waits for a recorded step to be called, where workflow code itself waits for the world."""


class LaneTimer(asyncio.TimerHandle):
    """A timer of workflow code, due by the run's clock."""

    __slots__ = ("number",)
    _when: float
    number: int

    def __lt__(self, other: Any) -> bool:
        return (self._when, self.number) < (other._when, other.number)


class Delivery:
    """An outcome on its way to the branch that waits for it; `wake` is called once, with the run at rest."""

    __slots__ = ("branch", "cancel_requested", "clock", "ordinal", "ready", "wake")

    def __init__(self, branch: Branch, ordinal: int, clock: int, wake: Callable[[], None]) -> None:
        self.branch = branch
        self.ordinal = ordinal
        self.clock = clock
        self.wake = wake
        self.ready = False
        self.cancel_requested = False


class Lane:
    """The deliveries of one attempt."""

    __slots__ = (
        "_armed",
        "_clock",
        "_completions",
        "_last_clock",
        "_live",
        "_looking",
        "_loop",
        "_ordinal",
        "_origin",
        "_pumping",
        "_ran",
        "_replayed",
        "_spins",
        "_stuck",
        "_stuck_since",
        "_timer_number",
        "_timers",
        "abandoned",
        "branches",
        "busy",
        "cancellation",
        "closed",
        "journal",
        "keeps_order",
        "lock",
        "now",
        "running",
        "waits_outside",
    )

    def __init__(
        self,
        journal: Journal,
        stuck: Callable[[Recorded], None],
        loop: RunLoop | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.journal = journal
        self.lock = RLock()
        self.now = 0.0
        """Seconds on the run's clock."""
        self.busy = 0
        """Callbacks of the run's tasks that the loop has yet to run."""
        self.running: set[Branch] = set()
        """Branches whose threads run workflow code."""
        self.branches = 1
        self.waits_outside = False
        """Whether workflow code itself ever waited for the outside world."""
        self.keeps_order = False
        """Whether outcomes have an order to keep though one branch is all there is: a cancellation is on its way."""
        self.cancellation: Cancellation | None = None
        self.closed = False
        self.abandoned = False
        """Whether callbacks of the run's tasks are dropped: the attempt has ended, and they would go on for ever."""
        self._loop = loop
        self._stuck = stuck
        self._stuck_since: float | None = None
        self._clock = clock
        self._origin = clock() // 1000 - journal.last_clock
        self._ordinal = journal.last_ordinal
        self._last_clock = journal.last_clock
        self._replayed: dict[int, Delivery] = {}
        self._live: deque[Delivery] = deque()
        self._completions: list[tuple[tuple[int, ...], Callable[[], None]]] = []
        self._timers: list[LaneTimer] = []
        self._timer_number = 0
        self._armed: asyncio.TimerHandle | None = None
        self._spins = 0
        self._pumping = False
        self._looking: dict[object, int] = {}
        """Callbacks that only look, each with what `_ran` was when it last did."""
        self._ran = 0

    @property
    def lone(self) -> bool:
        """Whether one branch is all there is, so that there is no order to keep."""
        return (
            self.branches == 1
            and not self.keeps_order
            and not self._live
            and not self._completions
            and not self._has_timers()
        )

    def accept(self) -> tuple[int, int]:
        """The ordinal and the clock's reading for an outcome that has come about now."""
        with self.lock:
            self._ordinal += 1
            # No two outcomes have one reading: their order is that of their clocks, too.
            clock = self._last_clock = max(self.elapsed(), self._last_clock + 1, int(self.now * 1e6) + 1)
            return self._ordinal, clock

    def elapsed(self) -> int:
        """Microseconds that the run's clock would show if something happened now."""
        return self._clock() // 1000 - self._origin

    def passed(self, clock: int) -> None:
        """An outcome went to the lone branch without a delivery."""
        self.now = max(self.now, clock / 1e6)

    def wait_recorded(self, delivery: Delivery) -> None:
        """A branch waits for a recorded outcome."""
        with self.lock:
            self._replayed[delivery.ordinal] = delivery
        self.pump_soon()

    def wait_live(self, delivery: Delivery) -> None:
        """A branch waits for a live outcome, which is not yet stored: to be called right after `accept`."""
        self._live.append(delivery)

    def withdraw(self, delivery: Delivery) -> None:
        """A live outcome turned out not to be one: it will be accepted anew."""
        with self.lock:
            if delivery in self._live:
                self._live.remove(delivery)
        self.pump_soon()

    def stored(self, delivery: Delivery) -> None:
        """A live outcome is stored, or its fate settled otherwise."""
        with self.lock:
            delivery.ready = True
        self.pump_soon()

    def cancel_requested(self, delivery: Delivery) -> None:
        """Workflow code cancelled a branch that waits for an outcome."""
        delivery.cancel_requested = True
        self.pump_soon()

    def complete(self, branch: Branch, deliver: Callable[[], None]) -> None:
        """A thread's branch has ended; `deliver` tells those who wait for it."""
        with self.lock:
            heapq.heappush(self._completions, (branch.order, deliver))
            self.running.discard(branch)
        self.pump_soon()

    def rest_thread(self, branch: Branch) -> None:
        """A branch's thread leaves workflow code, to wait or to run a step's body."""
        with self.lock:
            self.running.discard(branch)
            if self.running:
                return
        self.pump_soon()

    def resume_thread(self, branch: Branch) -> None:
        """A branch's thread is in workflow code again, or will be as soon as it starts."""
        with self.lock:
            self.running.add(branch)

    def wake_all(self) -> None:
        """Let everybody who waits look up: the attempt ends."""
        with self.lock:
            waiting = [*self._replayed.values(), *self._live]
            self._replayed.clear()
            self._live.clear()
            self.closed = True
            for delivery in waiting:
                delivery.wake()
            self.pump()

    # Tasks: called in the loop's thread only.

    def leave(self) -> None:
        """A callback of the run's tasks, which `busy` counts, ran or was cancelled."""
        self.busy -= 1
        self._ran += 1
        if not self.busy:
            self._spins = 0
            self.pump()
        else:
            self._spins += 1
            if self._spins > _SPINS:
                self._spins = 0
                self.pump(force=True)

    def looks(self, callback: object) -> None:
        """A callback that only looks for something to do has looked, and will look again."""
        self._looking[callback] = self._ran

    def looked(self, callback: object) -> None:
        """That callback ran again, or was cancelled."""
        self._looking.pop(callback, None)
        if self.rests():
            self.pump()

    def rests(self) -> bool:
        """Whether nothing of the run can go on without an event."""
        if self.busy or self.running:
            return False
        return not self._looking or all(seen == self._ran for seen in self._looking.values())

    def add_timer(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> LaneTimer:
        """A timer of workflow code, due at `when` on the run's clock."""
        assert self._loop is not None
        timer = LaneTimer(when, callback, args, self._loop, context)
        timer.number = self._timer_number
        self._timer_number += 1
        if len(self._timers) > 64 and self._timer_number % 64 == 0:
            self._timers = [t for t in self._timers if not t.cancelled()]
            heapq.heapify(self._timers)
        heapq.heappush(self._timers, timer)
        return timer

    def _has_timers(self) -> bool:
        timers = self._timers
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)
        return bool(timers)

    # Delivering.

    def pump_soon(self) -> None:
        """Deliver what can be delivered."""
        self.call(self.pump)

    def call(self, what: Callable[[], object]) -> None:
        """Call something where the run's tasks are: in the loop's thread, where there is a loop."""
        if self._loop is None or self._loop.is_mine():
            what()
        else:
            self._loop.call_in_loop(what)

    def pump(self, *, force: bool = False) -> None:
        """Deliver the next event while the run is at rest. `force` takes it for resting."""
        with self.lock:
            if self.closed:
                # The attempt ends: whoever waits for a thread that has ended learns it, in whatever order.
                while self._completions:
                    heapq.heappop(self._completions)[1]()
                return
            if self._pumping:
                return
            self._pumping = True
            try:
                while force or self.rests():
                    force = False
                    if not self._next():
                        break
            finally:
                self._pumping = False

    def deliverable(self) -> bool:
        """Whether something waits for nothing but the run's coming to rest."""
        if self._completions:
            return True
        if (head := self.journal.head()) is not None:
            return head.ordinal in self._replayed
        return bool(self._live and self._live[0].ready)

    def _next(self) -> bool:
        if self._completions:
            heapq.heappop(self._completions)[1]()
            return True
        head = self.journal.head()
        if head is not None:
            if self._fire(head.clock / 1e6):
                return True
            delivery = self._replayed.get(head.ordinal)
            if delivery is None or (head.cancelled and not delivery.cancel_requested):
                self._wait_for_call(head)
                return False
            self._stuck_since = None
            del self._replayed[head.ordinal]
            head.consumed = True
            self._deliver(delivery)
            return True
        if self.cancellation is not None:
            self.cancellation.offer()
        if self._live:
            delivery = self._live[0]
            if self._fire(delivery.clock / 1e6):
                return True
            if not delivery.ready:
                return False
            self._live.popleft()
            self._deliver(delivery)
            return True
        real = self.elapsed() / 1e6
        if self._fire(real):
            return True
        self._arm(real)
        return False

    def _deliver(self, delivery: Delivery) -> None:
        self.now = max(self.now, delivery.clock / 1e6)
        if delivery.branch.task is None:
            self.running.add(delivery.branch)
        delivery.wake()

    def _fire(self, until: float) -> bool:
        if not self._has_timers() or self._timers[0]._when > until:
            return False
        assert self._loop is not None
        timer = heapq.heappop(self._timers)
        self.now = max(self.now, timer._when)
        self._loop.run_timer(timer, self)
        return True

    def _arm(self, real: float) -> None:
        if not self._has_timers():
            return
        assert self._loop is not None
        when = self._timers[0]._when
        if self._armed is not None:
            self._armed.cancel()
        # The clock reads whole microseconds: a shorter wait would find it unchanged.
        self._armed = self._loop.real_later(max(when - real, 2e-6), self.pump)

    def _wait_for_call(self, head: Recorded) -> None:
        if self.busy or self.running:
            return
        if not self.waits_outside:
            self._stuck(head)
            return
        if self._stuck_since is None:
            self._stuck_since = time.monotonic()
        elif time.monotonic() - self._stuck_since > _STUCK_GRACE:
            self._stuck(head)
            return
        if self._loop is not None:
            self._loop.real_later(1.0, self.pump)
