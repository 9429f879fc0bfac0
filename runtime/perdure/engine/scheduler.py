"""The order in which a run's branches learn the outcomes of their steps: the same live and on replay.

Every accepted outcome has an ordinal and a reading of the run's own clock. Outcomes are delivered one at a time in
the order of their ordinals, the next one only when the run has come to rest (no task of it can go on, no thread of
it runs workflow code); live ones only after every recorded one. The clock stands still between events: it moves to
an outcome's reading when that is delivered, and to a timer's due time when that fires. A timer fires before an
outcome exactly if it is due by the outcome's reading, so timeouts and sleeps of workflow code choose on replay as
they chose before, and replay does not wait for them. What is outside gets on replay the time that it had.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from math import inf
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

from .delivery import Delivery, Strand
from .journal import Journal, Recorded
from .outside import Outside
from .polling import Polling
from .timers import Alarm, ScheduledTimer, Timers

if TYPE_CHECKING:
    from .host_loop import HostLoop
    from .outcome import Outcome

__all__ = ["Place", "Scheduler"]


class Sleeper(Protocol):
    """A wait of a branch's thread."""

    def wake(self) -> None:
        """End the wait."""


class Scheduler:
    """The deliveries of one attempt."""

    __slots__ = (
        "_anchored",
        "_armed",
        "_clock",
        "_completions",
        "_last_clock",
        "_live",
        "_looking",
        "_ordinal",
        "_origin",
        "_pumping",
        "_ran",
        "_replayed",
        "_timers",
        "abandoned",
        "branches",
        "busy",
        "closed",
        "journal",
        "keeps_order",
        "lock",
        "loop",
        "naps",
        "now",
        "offer",
        "outside",
        "polling",
        "running",
        "stuck",
        "threads",
    )

    def __init__(
        self,
        journal: Journal,
        stuck: Callable[[Recorded], None],
        loop: HostLoop | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.journal = journal
        self.lock = RLock()
        self.now = 0.0
        """Seconds on the run's clock."""
        self.busy = 0
        """Callbacks of the run's tasks that the loop has yet to run."""
        self.running: set[Strand] = set()
        """Branches whose threads run workflow code."""
        self.threads: dict[Strand, None] = {}
        """Branches in threads whose end is not told yet. An empty set would be larger."""
        self.naps: dict[Sleeper, None] = {}
        """Waits of such threads."""
        self.branches = 1
        self.outside = Outside()
        self.polling = Polling()
        self.keeps_order = False
        """Whether outcomes have an order to keep though one branch is all there is: a cancellation is on its way."""
        self.offer: Callable[[], None] | None = None
        """Called at rest, once nothing recorded is left: the run's cancellation may take its place among the events."""
        self.closed = False
        self.abandoned = False
        """Whether callbacks of the run's tasks are dropped: the attempt has ended, and they would go on for ever."""
        self.loop = loop
        self.stuck = stuck
        """Told of the recorded outcome whose turn it is, and which no branch has called, while the run is at rest."""
        self._clock = clock
        self._origin = clock() // 1000 - journal.last_clock
        self._ordinal = journal.last_ordinal
        self._last_clock = journal.last_clock
        self._replayed: dict[int, Delivery] = {}
        self._live: deque[Delivery] | None = None
        """Made when it is needed: an empty one has 760 bytes, and a lone branch needs none."""
        self._completions: list[tuple[tuple[int, ...], Callable[[], None]]] = []
        self._timers = Timers()
        self._armed: asyncio.TimerHandle | None = None
        self._anchored = not journal.size
        self._pumping = False
        self._looking: dict[object, int] = {}
        """Callbacks that only look, each with what `_ran` was then."""
        self._ran = 0

    @property
    def lone(self) -> bool:
        """Whether the branch that asks is all there is, so that there is no order to keep."""
        # Each step asks. What is empty is seen without a call.
        return (
            self.branches == 1
            and self.busy <= 1
            and not self.keeps_order
            and not self._live
            and not self._completions
            and not (self._timers.heap and self._timers)
            and not self.outside.out
        )

    @property
    def undisturbed(self) -> bool:
        """Whether no code of the workflow can run before the branch that asks goes on."""
        alone = self.branches == 1 and self.busy <= 1
        return alone and not self.outside and not self._timers.call_user_code()

    def accept(self) -> tuple[int, int]:
        """The ordinal and the clock's reading for an outcome that has come about now."""
        with self.lock:
            self._ordinal += 1
            # No two outcomes have one reading: their order is that of their clocks, too.
            clock = max(self._clock() // 1000 - self._origin, self._last_clock + 1, int(self.now * 1e6) + 1)
            self._last_clock = clock
            return self._ordinal, clock

    def process_time(self) -> int:
        """Nanoseconds of the process's clock."""
        return self._clock()

    def elapsed(self) -> int:
        """Microseconds that the run's clock would show if something happened now."""
        return self._clock() // 1000 - self._origin

    def anchor(self) -> None:
        """Let the clock go on from what is recorded, once all of that is told. Replay takes no time."""
        if self._anchored:
            return
        with self.lock:
            if self.journal.head() is None:
                self._anchored = True
                self._origin = self._clock() // 1000 - max(self._last_clock, int(self.now * 1e6))

    def passed(self, clock: int) -> None:
        """An outcome went to its branch without a delivery."""
        with self.lock:
            self.now = max(self.now, clock / 1e6)
            self.polling.yields = 0

    def wait_recorded(self, delivery: Delivery) -> None:
        """A branch waits for a recorded outcome."""
        with self.lock:
            self._replayed[delivery.ordinal] = delivery
        self.pump_soon()

    def wait_live(self, delivery: Delivery) -> None:
        """A branch waits for a live outcome, which is not yet stored: to be called right after `accept`."""
        if self._live is None:
            self._live = deque()
        self._live.append(delivery)

    def withdraw(self, delivery: Delivery) -> None:
        """A live outcome turned out not to be one: it will be accepted anew."""
        with self.lock:
            if self._live and delivery in self._live:
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

    def complete(self, branch: Strand, deliver: Callable[[], None]) -> None:
        """A thread's branch has ended; `deliver` tells those who wait for it."""
        with self.lock:
            heapq.heappush(self._completions, (branch.order, deliver))
            self.running.discard(branch)
        self.pump_soon()

    def rest_thread(self, branch: Strand) -> None:
        """A branch's thread leaves workflow code, to wait or to run a step's body."""
        with self.lock:
            self.running.discard(branch)
            if self.running:
                return
        self.pump_soon()

    def resume_thread(self, branch: Strand) -> None:
        """A branch's thread is in workflow code again, or will be as soon as it starts."""
        with self.lock:
            self.running.add(branch)

    def wake_all(self) -> None:
        """Let everybody who waits look up: the attempt ends."""
        with self.lock:
            waiting: list[Delivery | Sleeper] = [*self._replayed.values(), *(self._live or ()), *self.naps]
            self._replayed.clear()
            self._live = None
            self.closed = True
            for one in waiting:
                one.wake()
            self.pump()
            if self._armed is not None:
                # It may be due in a year, and would keep all of this until then.
                self._armed.cancel()
                self._armed = None

    # Tasks: called in the loop's thread only.

    def leave(self) -> None:
        """A callback of the run's tasks, which `busy` counts, ran or was cancelled."""
        self.busy -= 1
        self._ran += 1
        if not self.busy:
            self.polling.rested()
            # Whoever adds an event pumps by itself: with none there, a step of a lone branch does without.
            if not self._is_quiet():
                self.pump()
        elif self.polling.turned(self.busy):
            # This is no rest, and so never the time for a verdict.
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
    ) -> ScheduledTimer:
        """A timer of workflow code, due at `when` on the run's clock."""
        assert self.loop is not None
        with self.lock:
            return self._timers.add(when, self.now, callback, args, self.loop, context)

    def add_alarm(self, seconds: float, branch: Strand, ring: Callable[[], None]) -> Alarm:
        """An end for a thread's wait, so many seconds from now on the run's clock."""
        with self.lock:
            return self._timers.add_alarm(seconds, self.now, branch.order, ring)

    def alarm_in(self, alarm: Alarm) -> float:
        """Seconds after which the thread that waits is to pump, where no loop does that; -1 if one does."""
        if self.loop is not None:
            return -1
        left = alarm.when() - self.elapsed() / 1e6
        # What is due while others run is seen by who comes to rest last; but the clock may be set back then.
        return left if left > 0 else 0.01

    # Delivering.

    def _is_quiet(self) -> bool:
        """Whether no event is on its way, nothing recorded is left to be told, and the clock needs no setting."""
        timers = self._timers
        return (
            self._anchored
            and not self._live
            and not self._completions
            and not timers.heap
            and timers.fresh == inf
            and self.offer is None
        )

    def pump_soon(self) -> None:
        """Deliver what can be delivered."""
        self.call(self.pump)

    def call(self, what: Callable[[], object]) -> None:
        """Call something where the run's tasks are: in the loop's thread, where there is a loop."""
        if self.loop is None or self.loop.is_mine():
            what()
        else:
            self.loop.call_in_loop(what)

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
        if self._completions or (head := self.journal.head()) is None:
            return bool(self._completions or (self._live and self._live[0].ready))
        return head.ordinal in self._replayed

    def _next(self) -> bool:
        if self._completions:
            heapq.heappop(self._completions)[1]()
            return True
        head = self.journal.head()
        if head is not None:
            return self._next_recorded(head)
        self._count_from_here()
        if self.offer is not None:
            self.offer()
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

    def _next_recorded(self, head: Recorded) -> bool:
        self._timers.fresh = inf
        delivery = self._replayed.get(head.ordinal)
        if head.cancelled and delivery is not None and not delivery.cancel_requested:
            delivery = None
        if self._held(head.clock / 1e6, called=delivery is not None):
            return False
        if self._fire(head.clock / 1e6):
            return True
        if delivery is None:
            if self.rests():
                self.stuck(head)
            return False
        del self._replayed[head.ordinal]
        head.consumed = True
        self._deliver(delivery)
        return True

    def _deliver(self, delivery: Delivery) -> None:
        self.now = max(self.now, delivery.clock / 1e6)
        if delivery.branch.task is None:
            self.running.add(delivery.branch)
        delivery.wake()

    def _held(self, until: float, *, called: bool) -> bool:
        """Whether the next event of the past is to wait for what is outside; it will be looked at again then."""
        due = min(self._timers.next_due(), until if called else inf)
        if not self.outside or self.loop is None or due > until:
            return False
        held = self.outside.hold(due, self._clock())
        if held > 0:
            self._pump_later(held)
        return held > 0

    def _count_from_here(self) -> None:
        """Set the clock back if code that was at work until now held up a timer that it set itself.

        The clock stood still for that code. Its timer is to take its time, and not to be due at once: a loop that
        waits for less time than it works would stay ever further behind, and never see another outcome.
        """
        self.anchor()
        if self._timers.fresh == inf:
            return
        late = self.elapsed() - int(self.now * 1e6)
        if self._timers.fresh <= self.now + late / 1e6:
            self._origin += late
        self._timers.fresh = inf

    def _fire(self, until: float) -> bool:
        if self._timers.next_due() > until:
            return False
        timer = self._timers.pop()
        self.now = max(self.now, timer.when())
        if isinstance(timer, Alarm):
            timer.ring()
        else:
            assert self.loop is not None
            self.loop.run_timer(timer, self)
        return True

    def _arm(self, real: float) -> None:
        if self._timers and self.loop is not None:
            self._pump_later(max(self._timers.next_due() - real, 2e-6))  # for less the clock would read the same

    def _pump_later(self, delay: float) -> None:
        assert self.loop is not None
        if self._armed is not None:
            self._armed.cancel()
        self._armed = self.loop.real_later(delay, self.pump)


class Place:
    """Taken when an outcome has come about, and left again where it turns out that the outcome is not in the store.

    Args:
        scheduler: of the run.
        branch: whose step it is.
        started: when the step was called, in nanoseconds.
        wake: called when the outcome's turn has come.
        fingerprint: of the call.
        alone: whether the outcome goes to its branch without a turn.
    """

    __slots__ = ("alone", "branch", "delivery", "fingerprint", "scheduler", "started", "wake")

    def __init__(
        self,
        scheduler: Scheduler,
        branch: Strand,
        started: int,
        wake: Callable[[], None],
        *,
        alone: bool,
        fingerprint: str | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.branch = branch
        self.started = started
        self.wake = wake
        self.fingerprint = fingerprint
        self.alone = alone
        self.delivery: Delivery | None = None

    def take(self, outcome: Outcome) -> None:
        """Accept an outcome: it gets its ordinal, and those that are accepted later wait for it."""
        scheduler = self.scheduler
        outcome.fingerprint = self.fingerprint
        if self.alone:
            outcome.ordinal, outcome.clock = scheduler.accept()
            return
        with scheduler.lock:
            outcome.ordinal, outcome.clock = scheduler.accept()
            self.delivery = Delivery(self.branch, outcome.ordinal, outcome.clock, self.wake)
            scheduler.wait_live(self.delivery)

    def leave(self) -> None:
        """The outcome is not in the store and never will be: nobody waits for it any more."""
        delivery, self.delivery = self.delivery, None
        if delivery is not None:
            self.scheduler.withdraw(delivery)
