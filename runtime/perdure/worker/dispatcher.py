"""The worker's dispatcher: one thread decides which runs to claim or stop, and when, and which processes are dead.

All other threads post messages to it. But for the mark of a run that has ended, it alone changes the worker's state, so
that state needs no lock. It never waits for user code, nor for a lock in the store.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import assert_never

from .. import errors
from ..attempt_ends import AttemptEnd
from ..attempt_results import (
    AttemptResult,
    Cancelled,
    Crashed,
    Failed,
    Interrupted,
    Released,
    RunEnd,
    Succeeded,
    Superseded,
)
from ..errors import StoreError, StoreUnavailable
from ..names import CANCEL_KEY, Claim, RunId
from ..owned_thread import OwnedThread
from ..pauses import Pauses
from ..process.identity import is_gone
from ..process.liveness import ProcessFailureDetector
from ..store.attempts.checkpoint import Answer, Recorded
from ..store.postgres.process_identity import ProcessIdentity
from ..store.workers.claims import ClaimedRun, Claims, Entrypoints
from ..store.workers.completions import Completion, CompletionStore
from ..store.workers.processes import ProcessEnd, ProcessStore
from .completions import CompletionWriter
from .deadlines import OVERTIME, Deadlines
from .executor import Executor, Running
from .heartbeat_client import HeartbeatClient
from .heartbeat_process import HeartbeatOrder
from .loading import load_checkpoints
from .lock_breaker import LockBreaker
from .notifications import NotificationListener
from .pending import Kind, PendingRuns
from .settings import OWN_CONNECTIONS, WorkerSettings
from .slots import Slots, is_suspect
from .takeover import Takeover
from .timers import Timer, Timers

__all__ = ["Dispatcher"]

_log = logging.getLogger("perdure.worker")

_SLOW_POLL = (5.0, 7.0)
"""Seconds between surveys, least and most, while no other process holds runs."""

_POLLS_PER_LEASE = 6
"""Surveys in a lease while other processes hold runs, so that a dead one is noticed soon."""

_FULL_SURVEY = 5.0
"""Seconds, at least, between two surveys that also read the runs which this worker holds by the store's rows."""

_EARLY_SURVEY = 1.0
"""Seconds, at least, from a survey to one that a notification brings about."""

_AWAY = Pauses(0.1, 1.0)
"""Between tries while the store is away."""

_DRAIN_POLL = 0.05
"""Seconds between turns while a suspect is on probation or waits for its turn."""

_LAST_WRITES = 5.0
"""Seconds for which the end of the worker waits for each thread that writes to the store."""


class Dispatcher:
    """Claims and executes runs until `stop`."""

    def __init__(self, settings: WorkerSettings, process: ProcessIdentity) -> None:
        self._settings = settings
        self._process = process
        known = settings.definitions.items()
        entrypoints = Entrypoints(
            [e for e, d in known if d.is_async],
            [e for e, d in known if not d.is_async],
            {e: d.cleanup for e, d in known if d.cleanup is not None},
            settings.origins,
        )
        lease = settings.lease
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._timers = Timers()
        self._deadlines = Deadlines(self._later, self._ended)
        self._claims = Claims(settings.url, settings.owner, process, entrypoints)
        self._breaker = LockBreaker(self._died)
        self._takeover = Takeover(settings.url, lease, self._breaker, self._died)
        self._writer = CompletionWriter(CompletionStore(settings.url, lease), lease, self._breaker, self._died)
        self._executor = Executor(
            settings.url,
            lease,
            step_connections=settings.max_connections - OWN_CONNECTIONS,
            checkpointed=self._checkpointed,
            ended=self._ended,
            cleanup_began=lambda running, seconds: self._post(partial(self._deadlines.clean_up, running, seconds)),
            died=self._died,
        )
        self._listener = NotificationListener(
            settings.direct_url, settings.owner, lambda runs: self._post(partial(self._heard, runs)), self._died
        )
        self._heartbeat = HeartbeatClient(
            HeartbeatOrder(settings.url, settings.owner, lease, process),
            cancelled=lambda runs: self._post(partial(self._ask.update, runs)),
            ended=lambda: self._post(lambda: None),
            died=self._died,
        )
        self._pending = PendingRuns()
        self._detector = ProcessFailureDetector(lease, lease / 2, is_gone)
        self._running: dict[Claim, Running] = {}
        self._by_run: dict[RunId, Running] = {}
        self._slots = Slots(settings.definitions, settings.concurrency, settings.threads)
        self._ask: set[RunId] = set()
        self._strays: set[Claim] = set()
        self._missing: set[Claim] = set()
        self._next_survey = 0.0
        self._last_survey = 0.0
        self._next_full = 0.0
        self._retry_at = 0.0
        self._failures = 0
        self._stop_at: float | None = None
        self._failing = False
        self._thread = OwnedThread(self._work, name="perdure-worker", died=self._died)
        self.over = threading.Event()
        self.failure: BaseException | None = None
        """The error that ended the worker before `stop`."""

    # From outside.

    def start(self) -> None:
        """Work from now on, in a thread of its own.

        Raises:
            SchemaMismatch: client and schema do not work together.
            StoreError: the store refuses. If the store is away, the thread tries again.
        """
        with suppress(StoreUnavailable):
            self._claims.check()
            store = ProcessStore(self._settings.url, self._settings.lease)
            try:
                store.sweep(self._settings.owner)
            finally:
                store.close()
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Claim no more runs, let steps in flight finish for up to `grace` seconds, and release the runs."""
        self._post(partial(self._stop, grace))

    def _post(self, message: Callable[[], None]) -> None:
        self._inbox.put(message)

    def _checkpointed(self, running: Running) -> None:
        """Have the thread look at the slots again: the probation of a suspect is over."""
        if is_suspect(running.run):
            self._post(lambda: None)

    def _ended(self, running: Running, result: AttemptResult | Crashed) -> None:
        """Have the end of an attempt written, unless it has one already. Called in any thread."""
        if running.ended:
            return
        running.ended = True
        match result:
            case Succeeded() | Failed() | Cancelled():
                self._write(running, result)
            case _ if self._failing:
                # `_fail` releases all runs of this process together, this one included.
                pass
            case Released() | Crashed():
                self._write(running, result)
            case Interrupted():
                # Not in a worker today: SIGINT raises in the main thread, which executes no run.
                self._write(running, Released("interrupted by SIGINT"))
            case Superseded():
                _superseded_said(running)
                self._post(partial(self._forget, running))
            case _:
                assert_never(result)

    def _write(self, running: Running, end: RunEnd | Released | Crashed) -> None:
        completion = Completion(running.run.run_id, running.run.claim, end)
        self._writer.submit(completion, lambda answer: self._post(partial(self._settled, running, answer)))

    # The thread.

    def _work(self) -> None:
        try:
            self._listener.start()
            while self._stop_at is None or (self._running and time.monotonic() < self._stop_at + OVERTIME):
                self._turn()
            self._leave()
        except BaseException as error:  # noqa: BLE001 the thread that waits for the end gets it
            self._fail(error)
        finally:
            self.over.set()

    def _died(self, error: BaseException) -> None:
        """A thread of this worker ended with an error. The worker cannot work without it, and ends."""
        _log.critical("thread %s died; the worker ends", threading.current_thread().name, exc_info=error)
        self._post(partial(_raise, error))

    def _fail(self, error: BaseException) -> None:
        """End without relying on any thread of the worker: each of them may be dead or blocked.

        The runs count as crashed. One of them may have caused the error, and would end each worker that claims it next.
        """
        self.failure = error
        # Before the attempts are interrupted: `_ended` leaves the release of their runs to `_give_back_all`.
        self._failing = True
        why = f"its worker ended by an error of its own: {error!r}"
        _log.critical("%s; its runs are released", why, exc_info=error)
        for running in list(self._running.values()):
            if running.attempt is not None:
                _whatever(
                    partial(running.attempt.interrupt, errors.Released("the worker ended by an error of its own"))
                )
        _whatever(partial(self._writer.close, _LAST_WRITES))
        if _whatever(partial(self._give_back_all, why)):
            _whatever(self._heartbeat.stop)
        else:
            # The store is away, or rows are locked: the heartbeat process releases the runs, for as long as that takes.
            _whatever(partial(self._heartbeat.give_up, why))
        self._breaker.stop()
        for end in (
            partial(self._takeover.stop, _LAST_WRITES),
            self._listener.stop,
            self._executor.close,
            self._claims.close,
        ):
            _whatever(end)

    def _give_back_all(self, why: str) -> bool:
        store = ProcessStore(self._settings.url, self._settings.lease)
        try:
            return not store.release(self._process.id, ProcessEnd(AttemptEnd.CRASHED, why, sure=True)).left
        finally:
            store.close()

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._retry_at:
            try:
                if self._ask:
                    ask, self._ask = self._ask, set()
                    self._cancel(self._claims.cancelled(list(ask & self._by_run.keys())))
                if self._stop_at is None:
                    if now >= self._next_survey:
                        self._survey()
                    self._claim()
                self._failures = 0
            except StoreError as error:
                self._away(error)
        self._timers.run(time.monotonic())
        self._executor.tidy()
        if self._running and (pause := self._heartbeat.revive()) is not None:
            self._later(pause, lambda: None)
        self._wait()

    def _wait(self) -> None:
        try:
            self._inbox.get(timeout=max(0.0, self._next_turn() - time.monotonic()))()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            pass

    def _next_turn(self) -> float:
        now = time.monotonic()
        times = [now + _SLOW_POLL[1]]
        if (next_due := self._timers.next_due()) is not None:
            times.append(next_due)
        if self._stop_at is not None:
            times.append(self._stop_at + OVERTIME)
        else:
            times.append(max(self._next_survey, self._retry_at))
            if (due := self._pending.next_due(now)) is not None:
                times.append(due)
            if self._slots.on_probation(now) or Kind.SUSPECT in self._pending.work(now):
                times.append(now + _DRAIN_POLL)
        if self._ask:
            times.append(self._retry_at)
        return min(times)

    def _later(self, delay: float, action: Callable[[], None]) -> Timer:
        return self._timers.at(time.monotonic() + delay, action)

    def _away(self, error: StoreError) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("the store does not answer, trying again: %s", error)
        self._detector.failed()
        # A claim whose answer was lost may have claimed runs. So another claim is due: it finds them by their tokens.
        self._pending.heard()
        now = time.monotonic()
        self._next_survey = now
        self._retry_at = now + _AWAY.after(self._failures)

    # Claiming.

    def _heard(self, runs: list[RunId] | None) -> None:
        new = False
        for run in runs or ():
            if run in self._by_run:
                self._ask.add(run)
            else:
                new = True
        if new or runs is None:
            self._pending.heard()
            # Another worker may claim the run, or the run waits out a delay: a survey shows which.
            soon = time.monotonic() + random.uniform(0.05, 0.3)
            self._next_survey = min(self._next_survey, max(soon, self._last_survey + _EARLY_SURVEY))

    def _claim(self) -> None:
        while True:
            now = time.monotonic()
            free = self._slots.free(self._pending.work(now), self._running.values(), now)
            if not free.total:
                return
            # Before the claim: the heartbeat must run before the code of a claimed run, which may block this process.
            self._heartbeat.tell(busy=True)
            try:
                got = self._claims.claim(free, self._pending.due(now))
                self._start(got.runs, now)
            finally:
                if not self._running:
                    self._heartbeat.tell(busy=False)
            for run in got.runs:
                self._pending.claimed(run.run_id)
            if not got.more:
                self._pending.exhausted(self._slots.without_more(free, got.runs), now)

    def _start(self, got: list[ClaimedRun], now: float) -> None:
        system = self._claims.system
        made = [Running(run, self._settings.definitions[run.entrypoint], now) for run in got]
        for running in made:
            self._running[running.run.claim] = self._by_run[running.run.run_id] = running
            self._slots.claimed(running)
        # First attempts have no checkpoints, and do not wait for those of others.
        for running in made:
            if running.run.number == 1:
                self._begin(running, [], system)
        resumed = [running for running in made if running.run.number > 1]
        if not resumed:
            return
        loaded = load_checkpoints(self._settings.url, system, [running.run for running in resumed])
        if loaded.error is not None:
            _log.warning("checkpoints could not be loaded, so runs are released: %s", loaded.error)
        for running in resumed:
            recorded = loaded.recorded.get(running.run.run_id)
            if recorded is not None:
                self._begin(running, recorded, system)
            elif running.run.run_id in loaded.superseded:
                self._superseded(running)
            else:
                self._ended(running, Released("its checkpoints could not be loaded"))

    def _begin(self, running: Running, recorded: list[Recorded], system: str) -> None:
        run = running.run
        if run.cancelled and not (run.cleanup is not None and run.cleanup > 0):
            self._ended(running, Cancelled())
            return
        # A cleanup that has begun has a limit of its own, in place of the deadline.
        if not any(one.key == CANCEL_KEY for one in recorded) and not self._deadlines.start(running):
            return
        _log.debug("run %s: attempt %d begins, with %d checkpoints", run.id, run.number, len(recorded))
        self._executor.start(running, recorded, system)

    def _cancel(self, runs: Mapping[RunId, bool]) -> None:
        for run, at_once in runs.items():
            if (running := self._by_run.get(run)) is not None:
                self._deadlines.cancel(running, at_once=at_once)

    def _superseded(self, running: Running) -> None:
        why = f"another attempt owns run {running.run.id!r}, or it was deleted"
        if running.attempt is not None:
            running.attempt.interrupt(errors.Superseded(why))
        self._ended(running, Superseded(why))

    # Ends of runs.

    def _settled(self, running: Running, answer: Answer | None) -> None:
        if answer is Answer.SERVER_CHANGED:
            end = Released("the store was failed over to another server")
            completion = Completion(running.run.run_id, running.run.claim, end)
            self._writer.submit(completion, lambda _: self._post(partial(self._forget, running)))
            return
        if answer is Answer.SUPERSEDED or answer is Answer.GONE:
            _superseded_said(running)
        self._forget(running)

    def _forget(self, running: Running) -> None:
        if running.timer is not None:
            running.timer.cancel()
        self._running.pop(running.run.claim, None)
        self._slots.forgotten(running)
        if self._by_run.get(running.run.run_id) is running:
            del self._by_run[running.run.run_id]
        if not self._running:
            self._heartbeat.tell(busy=False)

    # Surveys.

    def _survey(self) -> None:
        asked = time.monotonic()
        full = asked >= self._next_full
        survey = self._claims.survey(full=full)
        now = time.monotonic()
        self._last_survey = now
        self._pending.surveyed(survey, now)
        for death in self._detector.read(asked, now, survey.processes):
            self._takeover.dead(death)
        if full:
            self._next_full = now + _FULL_SURVEY
            self._compare(survey.held, asked)
        if survey.processes:
            interval = self._settings.lease / _POLLS_PER_LEASE * random.uniform(0.8, 1.0)
            verdict = self._detector.next_verdict() or now + interval
            self._next_survey = min(now + interval, max(verdict, now + interval / 4))
        else:
            self._next_survey = now + random.uniform(*_SLOW_POLL)

    def _compare(self, held: dict[Claim, RunId], asked: float) -> None:
        """Settle each difference between store and worker that two surveys show: one alone may be due to timing."""
        strays = held.keys() - self._running.keys()
        for claim in strays & self._strays:
            _log.warning("run %s is this worker's in the store, but does not run here; releasing it", held[claim])
            self._writer.submit(Completion(held[claim], claim, Released("its worker did not run it")), lambda _: None)
        self._strays = strays - self._strays
        # Runs that were claimed after the survey was sent are not in its answer.
        missing = {c for c, r in self._running.items() if r.since < asked and not r.ended and c not in held}
        for claim in missing & self._missing:
            self._superseded(self._running[claim])
        self._missing = missing

    # Stopping.

    def _stop(self, grace: float) -> None:
        now = time.monotonic()
        self._stop_at = now + grace if self._stop_at is None else min(self._stop_at, now + grace)
        for running in list(self._running.values()):
            if running.attempt is not None:
                running.attempt.drain(errors.Released("the worker was stopped"))
        _log.info("stopping: no more runs are claimed, and steps in flight have %.0f s to finish", self._stop_at - now)
        self._later(max(0.0, self._stop_at - now), self._stop_now)

    def _stop_now(self) -> None:
        """The time to finish is over: end the attempts. `_leave_behind` releases the runs of those that do not end."""
        for running in list(self._running.values()):
            if running.attempt is not None:
                running.attempt.interrupt(errors.Released("the worker was stopped"))
        self._later(OVERTIME / 2, self._leave_behind)

    def _leave_behind(self) -> None:
        for running in list(self._running.values()):
            self._ended(running, Released("the worker was stopped"))

    def _leave(self) -> None:
        self._listener.stop()
        self._takeover.stop(_LAST_WRITES)
        self._writer.close(_LAST_WRITES)
        self._breaker.stop()
        self._executor.close()
        # After the last ends are written: until then this worker holds their runs, and must not be taken for dead.
        self._heartbeat.stop()
        self._claims.close()
        store = ProcessStore(self._settings.url, self._settings.lease)
        try:
            store.unregister(self._process.id)
        except StoreError as error:
            _log.info("the worker's row stays in the store: %s", error)
        finally:
            store.close()


def _raise(error: BaseException) -> None:
    raise error


def _whatever(act: Callable[[], object]) -> bool:
    """Do one part of the shutdown, and log its error, so that the next parts follow. Returns whether it succeeded."""
    try:
        return act() is not False
    except Exception:  # noqa: BLE001 the next part has to follow in any case
        _log.exception("while the worker ends")
        return False


def _superseded_said(running: Running) -> None:
    run = running.run
    _log.warning("run %s: another attempt owns it, or it was deleted; attempt %d does not count", run.id, run.number)
