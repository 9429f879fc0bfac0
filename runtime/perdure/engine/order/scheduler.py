"""The order in which a run's branches learn the outcomes of their steps: the same live and on replay.

Every accepted outcome has an ordinal and a reading of the run's clock. The scheduler delivers outcomes one at a time,
in the order of their ordinals. It delivers an outcome only at rest: no task of the run can go on, and no thread of the
run is in workflow code. Live outcomes come after every recorded one.

The clock stands still between events. A delivery moves it to the outcome's reading, a timer to its due time. A timer
fires before an outcome exactly if the timer is due by the outcome's reading. So timeouts and sleeps of workflow code
end on replay as they ended before, and replay does not wait for them. The outside (`outside.Outside`) gets on replay
the time that it had.

The clock also counts the time in which no process ran: an attempt begins at the store's reading of it. Timers that are
due by that reading fire after the recorded outcomes and before any other body begins: the attempt settles its past.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from math import inf
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

from ...boot_clock import boot_nanoseconds
from .delivery import Delivery, Strand
from .journal import Journal, Recorded
from .outside import Outside
from .polling import Polling
from .timers import Alarm, ScheduledTimer, Timers

if TYPE_CHECKING:
    from .host_loop import HostLoop

__all__ = ["Scheduler"]

_LONGEST_WAIT = 60.0
"""Seconds after which a wait for a timer looks at the clock again: in a suspended machine such waits stand still."""


class Sleeper(Protocol):
    """A wait of a branch's thread: `naps.Nap` is one."""

    def wake(self) -> None:
        """End the wait."""


class Scheduler:
    """Delivers the events of one attempt: outcomes, timers and the ends of branches in threads.

    Args:
        journal: the recorded outcomes.
        stuck: called with the recorded outcome whose turn it is, if no branch has called its step and the run rests.
        loop: runs the tasks of an async workflow; None for a sync workflow.
        clock: a clock of the process that never goes back, in nanoseconds.
        reading: of the run's clock when the attempt began, in microseconds.
        read_at: when that was, on the process's clock; None: now.
    """

    __slots__ = (
        "_armed",
        "_clock",
        "_completions",
        "_held_bodies",
        "_last_clock",
        "_live",
        "_looking",
        "_ordinal",
        "_origin",
        "_pumping",
        "_ran",
        "_reading",
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
        "settled",
        "stuck",
        "threads",
    )

    def __init__(
        self,
        journal: Journal,
        stuck: Callable[[Recorded], None],
        loop: HostLoop | None = None,
        clock: Callable[[], int] = boot_nanoseconds,
        reading: int = 0,
        read_at: int | None = None,
    ) -> None:
        self.journal = journal
        self.lock = RLock()
        """Guards the state that threads share. Deliveries run under it and call the scheduler: so it is reentrant."""
        self.now = 0.0
        """Seconds on the run's clock."""
        self.busy = 0
        """Callbacks of the run's tasks that the loop has yet to run. Only the loop's thread changes the number."""
        self.running: set[Strand] = set()
        """Branches whose threads run workflow code."""
        self.threads: dict[Strand, None] = {}
        """Branches in threads whose end is not delivered yet. A dict: an empty set would be larger."""
        self.naps: dict[Sleeper, None] = {}
        """Waits of such threads, in the order in which they began."""
        self.branches = 1
        """The number of branches that have not ended, the main branch included."""
        self.outside = Outside()
        self.polling = Polling()
        self.keeps_order = False
        """Whether a lone branch needs turns as well: the run's cancellation is an event on its way."""
        self.offer: Callable[[], None] | None = None
        """Called at rest after the last recorded outcome: the run's cancellation may take its place in the order."""
        self.closed = False
        """Whether the attempt ends: no outcome is delivered any more."""
        self.abandoned = False
        """Whether callbacks of the run's tasks are dropped: the attempt has ended, and they would go on for ever."""
        self.loop = loop
        self.stuck = stuck
        self._clock = clock
        self._reading = max(reading, journal.last_clock)
        self._origin = (clock() if read_at is None else read_at) // 1000 - self._reading
        self.settled = not self._reading
        """Whether the past is settled: all that was recorded is delivered, and each timer due by the reading at begin.
        From then on bodies of steps may begin."""
        self._held_bodies: list[Callable[[], None]] = []
        """Each lets a step's body begin that waits until the past is settled."""
        self._ordinal = journal.last_ordinal
        self._last_clock = journal.last_clock
        self._replayed: dict[int, Delivery] = {}
        self._live: deque[Delivery] | None = None
        """Live outcomes by ordinal. Made at first need: an empty deque takes 760 bytes, a lone branch needs none."""
        self._completions: list[tuple[tuple[int, ...], Callable[[], None]]] = []
        self._timers = Timers()
        self._armed: asyncio.TimerHandle | None = None
        self._pumping = False
        self._looking: dict[object, int] = {}
        """Callbacks that only look for something to do (`handles.LookHandle`), with the `_ran` of their last look."""
        self._ran = 0
        """Callbacks of the run's tasks that have run."""

    @property
    def lone(self) -> bool:
        """Whether the calling branch is alone and no event is on its way, so that its outcome needs no turn."""
        # Each step call reads this: containers are first tested for emptiness, which costs no Python call.
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
        """Whether no other workflow code can run before the calling branch goes on."""
        alone = self.branches == 1 and self.busy <= 1
        return alone and not self.outside and not self._timers.call_user_code()

    def accept(self, *, began: bool = True) -> tuple[int, int]:
        """The ordinal of an outcome that is accepted now, and its reading of the run's clock in microseconds.

        `began`: whether a body ran. A step that is cancelled before that, while the past is settled, has its outcome at
        the time of the timer that cancelled it.
        """
        with self.lock:
            self._ordinal += 1
            # Later than every reading and every timer before it, so ordinals and readings give one order.
            clock = max(self._last_clock, int(self.now * 1e6)) + 1
            if began or self.settled:
                clock = max(clock, self._clock() // 1000 - self._origin)
            self._last_clock = clock
            return self._ordinal, clock

    def process_time(self) -> int:
        """Nanoseconds of the process's clock."""
        return self._clock()

    def elapsed(self) -> int:
        """Microseconds that the run's clock would show if something happened now."""
        return self._clock() // 1000 - self._origin

    def settle(self) -> None:
        """The past is settled: let the bodies begin that wait for it. The clock goes on from the reading at begin."""
        with self.lock:
            self.settled = True
            self.now = max(self.now, self._reading / 1e6)
            self.begin_held()

    def hold_body(self, begin: Callable[[], None]) -> None:
        """Have `begin` called, in any thread, once the past is settled or the attempt ends."""
        with self.lock:
            if self.settled or self.closed:
                begin()
            else:
                self._held_bodies.append(begin)

    def begin_held(self) -> None:
        """Let the bodies begin that wait until the past is settled."""
        with self.lock:
            held, self._held_bodies = self._held_bodies, []
            for begin in held:
                begin()

    def passed(self, clock: int) -> None:
        """Move the clock to the reading of an outcome that its branch took without a turn."""
        with self.lock:
            self.now = max(self.now, clock / 1e6)
            self.polling.yields = 0

    def wait_recorded(self, delivery: Delivery) -> None:
        """A branch waits for a recorded outcome."""
        with self.lock:
            if self.closed:
                _wake_late(delivery)
                return
            self._replayed[delivery.ordinal] = delivery
        self.pump_soon()

    def wait_live(self, delivery: Delivery) -> None:
        """A branch waits for a live outcome, which is not yet stored."""
        if self.closed:
            _wake_late(delivery)
            return
        # Callers hold the lock since `accept`, so the deque has the order of the ordinals.
        if self._live is None:
            self._live = deque()
        self._live.append(delivery)

    def withdraw(self, delivery: Delivery) -> None:
        """Give up a live outcome that was not stored. The next outcome of its step is accepted anew."""
        with self.lock:
            if self._live and delivery in self._live:
                self._live.remove(delivery)
        self.pump_soon()

    def stored(self, delivery: Delivery) -> None:
        """The store has settled a live outcome, or the attempt ends: the outcome's turn may come."""
        with self.lock:
            delivery.ready = True
        self.pump_soon()

    def cancel_requested(self, delivery: Delivery) -> None:
        """Workflow code cancelled a branch that waits for an outcome: a step that is recorded as cancelled may end."""
        delivery.cancel_requested = True
        self.pump_soon()

    def complete(self, branch: Strand, deliver: Callable[[], None]) -> None:
        """A branch in a thread has ended; `deliver` passes its end on to the branches that wait for it."""
        with self.lock:
            # Both under one lock: a rest without the end among the events would let another event come first.
            heapq.heappush(self._completions, (branch.order, deliver))
            self.running.discard(branch)
        self.pump_soon()

    def rest_thread(self, branch: Strand) -> None:
        """A branch's thread leaves workflow code, to wait or to run a step's body."""
        with self.lock:
            self.running.discard(branch)
            if self.running:
                # The last of the running threads delivers the next event.
                return
        self.pump_soon()

    def resume_thread(self, branch: Strand) -> None:
        """A branch's thread is in workflow code again, or will be as soon as it starts."""
        with self.lock:
            self.running.add(branch)

    def wake_all(self) -> None:
        """End all waits: the attempt ends, and each waiter checks that next."""
        with self.lock:
            waiting: list[Delivery | Sleeper] = [*self._replayed.values(), *(self._live or ()), *self.naps]
            self._replayed.clear()
            self._live = None
            self.closed = True
            for one in waiting:
                one.wake()
            self.begin_held()
            self.pump()
            if self._armed is not None:
                # The timer may be due in a year, and would keep the attempt in memory until then.
                self._armed.cancel()
                self._armed = None

    # Tasks: `leave`, `looks`, `looked` and `add_timer` are called in the loop's thread only.

    def leave(self) -> None:
        """A callback of the run's tasks, which `busy` counts, ran or was cancelled."""
        self.busy -= 1
        self._ran += 1
        if not self.busy:
            self.polling.rested()
            # Each new event pumps by itself. Without one, a step of a lone branch saves the call.
            if not self._is_quiet():
                self.pump()
        elif self.polling.turned(self.busy):
            # The run does not rest, so `_next_recorded` makes no verdict now.
            self.pump(force=True)

    def looks(self, callback: object) -> None:
        """A callback that only looks for something to do has looked, and will look again: it does not hinder a rest."""
        self._looking[callback] = self._ran

    def looked(self, callback: object) -> None:
        """That callback has run again, or was cancelled."""
        self._looking.pop(callback, None)
        if self.rests():
            self.pump()

    def rests(self) -> bool:
        """Whether nothing of the run can go on without an event."""
        if self.busy or self.running:
            return False
        # A callback that looks must have seen all that ran: otherwise it may yet find something to do.
        return not self._looking or all(seen == self._ran for seen in self._looking.values())

    def add_timer(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> ScheduledTimer:
        """Set a timer of workflow code, due at `when` seconds on the run's clock."""
        assert self.loop is not None
        with self.lock:
            return self._timers.add(when, self.now, callback, args, self.loop, context)

    def add_alarm(self, seconds: float, branch: Strand, ring: Callable[[], None]) -> Alarm:
        """Set an alarm that ends a thread's wait, `seconds` from now on the run's clock."""
        with self.lock:
            return self._timers.add_alarm(seconds, self.now, branch.order, ring)

    def alarm_in(self, alarm: Alarm) -> float:
        """Seconds after which the waiting thread must pump, in a run without a loop; -1 where the loop does that."""
        if self.loop is not None:
            return -1
        left = alarm.when() - self.elapsed() / 1e6
        # An alarm that falls due while other threads run rings when the last of them comes to rest. That rest may set
        # the clock back, and then no other thread would ring it: so this thread looks every 10 ms.
        return min(left, _LONGEST_WAIT) if left > 0 else 0.01

    # Delivering.

    def _is_quiet(self) -> bool:
        """Whether a rest needs no `pump`: no event is on its way, the past is settled, and no cancellation may come."""
        timers = self._timers
        return (
            self.settled
            and not self._live
            and not self._completions
            and not timers.heap
            and timers.fresh == inf
            and self.offer is None
        )

    def pump_soon(self) -> None:
        """Deliver the events that are due, in the loop's thread where there is a loop."""
        self.call(self.pump)

    def call(self, what: Callable[[], object]) -> None:
        """Call `what` in the loop's thread; in this thread where the run has no loop."""
        if self.loop is None or self.loop.is_mine():
            what()
        else:
            self.loop.call_in_loop(what)

    def pump(self, *, force: bool = False) -> None:
        """Deliver events while the run rests. With `force` the run counts as resting for the first of them."""
        with self.lock:
            if self.closed:
                # The attempt ends, so the order does not matter: waits for threads that have ended must end, too.
                while self._completions:
                    heapq.heappop(self._completions)[1]()
                return
            if self._pumping:
                # A delivery below calls this again, in the same thread. The loop below delivers the next event.
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
        """Whether an event waits for nothing but the rest of the run."""
        if self._completions or (head := self.journal.head()) is None:
            return bool(self._completions or self._held_bodies or (self._live and self._live[0].ready))
        return head.ordinal in self._replayed

    def _next(self) -> bool:
        if self._completions:
            # An end has no ordinal: it follows from the events before it. At a rest all ends that follow from them are
            # here, so the lowest branch first, before any other event, is the same order on replay.
            heapq.heappop(self._completions)[1]()
            return True
        head = self.journal.head()
        if head is not None:
            return self._next_recorded(head)
        if self.settled:
            self._count_from_here()
            if self.offer is not None:
                self.offer()
        else:
            self._timers.fresh = inf
        return self._next_new()

    def _next_new(self) -> bool:
        """Deliver the next event after all that is recorded."""
        if self._live:
            delivery = self._live[0]
            if self._fire(delivery.clock / 1e6):
                return True
            if not delivery.ready:
                # Later timers and outcomes wait, since replay delivers this outcome before them.
                return False
            self._live.popleft()
            self._deliver(delivery)
            return True
        if not self.settled:
            if not self._fire(self._reading / 1e6):
                self.settle()
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
            # The step ended by a cancellation, so workflow code must cancel it first.
            delivery = None
        if self._held(head, called=delivery is not None):
            return False
        if head.began <= head.clock and self._settle_until(head.began / 1e6):
            return True
        if self._fire(head.clock / 1e6):
            return True
        if delivery is None:
            # `force` may have led here without a rest: that is not a ground for a verdict.
            if self.rests():
                self.stuck(head)
            return False
        del self._replayed[head.ordinal]
        head.consumed = True
        self._deliver(delivery)
        return True

    def _settle_until(self, began: float) -> bool:
        """Settle the past as the attempt did that recorded the next outcome, and began at this reading of the clock.

        An outcome with an earlier reading came while that attempt settled its past. Returns whether a timer fired.
        """
        if self._fire(began):
            return True
        self.now = max(self.now, began)
        return False

    def _deliver(self, delivery: Delivery) -> None:
        self.now = max(self.now, delivery.clock / 1e6)
        if delivery.branch.task is None:
            # The thread runs from now on: otherwise the run would seem to rest until the system wakes the thread.
            self.running.add(delivery.branch)
        delivery.wake()

    def _held(self, head: Recorded, *, called: bool) -> bool:
        """Whether the next event of a replay must wait, so that the outside gets its time; if so, pump after that time.

        The next event is the first timer, or the recorded outcome `head` if its step is `called` by now.
        """
        until = head.clock / 1e6
        due = min(self._timers.next_due(), until if called else inf)
        if not self.outside or self.loop is None or due > until:
            return False
        held = self.outside.hold(due, self._clock(), head.began / 1e6)
        if held > 0:
            self._pump_later(held)
        return held > 0

    def _count_from_here(self) -> None:
        """Set the clock back if code that ran until this rest has set a timer that is already due.

        The clock stood still while the code ran. Its timer must take its time and not fire at once: otherwise the clock
        of a loop that computes for longer than it waits would fall ever further behind real time, and outcomes would
        reach the loop ever later.
        """
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
            # The clock counts whole microseconds: after a shorter delay it might not have moved.
            self._pump_later(min(max(self._timers.next_due() - real, 2e-6), _LONGEST_WAIT))

    def _pump_later(self, delay: float) -> None:
        assert self.loop is not None
        if self._armed is not None:
            self._armed.cancel()
        self._armed = self.loop.real_later(delay, self.pump)


def _wake_late(delivery: Delivery) -> None:
    """Wake a branch that comes to wait behind the end of the attempt, where nothing is delivered any more.

    A thread may be in a step's body when the attempt ends. It would wait for its turn for ever, and hold the thread and
    the attempt's memory. It goes on instead, and finds the attempt's signal.
    """
    with suppress(RuntimeError):  # its gate is open: `wake_all` woke it before its outcome was accepted anew
        delivery.wake()
