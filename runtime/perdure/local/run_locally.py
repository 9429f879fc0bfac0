"""One run, from wherever it stands to its end, on this machine.

It claims the run, starts a process for the attempt, and after a crash does so again. Where another process has the run,
it follows that, and takes over when it is dead. The store decides everything: this process may be killed at any time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, assert_never
from uuid import UUID

from ..attempt_ends import AttemptEnd
from ..errors import RunNotFound, StoreError, StoreUnavailable
from ..names import Claim, RunId
from ..pod.environment import lease_seconds
from ..process.attempt_process import AttemptProcess, StopRequests
from ..process.exit_codes import ExitCode
from ..process.identity import this_process
from ..store.attempts.attempts import AttemptStore
from ..store.postgres.opener import Opener
from ..store.runs.claim_one import Standing, StandingStore
from ..store.runs.model import RunDetail
from ..store.workers.processes import ProcessEnd, ProcessStore
from ..store.workers.release import Release
from .display import Display
from .interactive import ASK, LOOK, PATIENCE, Interrupted, wait
from .other_attempt import Dead, OtherAttempt, Unbegun, Works
from .recorded_steps import RecordedSteps
from .stop_relay import StopRelay
from .store_target import StoreTarget

__all__ = ["LocalRun"]

T = TypeVar("T")

_EXIT_CODES = {int(code): code for code in ExitCode}

_PAUSE = 1.0
"""Seconds before the run is claimed anew after its process left without a crash."""


class LocalRun:
    """Works on one run.

    Args:
        run: its UUID.
        place: its store.
        folder: of its code, if a file was named.
        display: shows the progress meanwhile.
        stops: requests to stop.
    """

    def __init__(
        self, run: UUID, place: StoreTarget, folder: Path | None, display: Display, stops: StopRequests
    ) -> None:
        self._run = RunId(run)
        self._place = place
        self._folder = folder
        self._display = display
        self._stops = stops
        self._lease = lease_seconds(os.environ)
        self._store = StandingStore(place.url, patience=ASK)
        self._processes = ProcessStore(place.url, self._lease)
        self._elsewhere = OtherAttempt(self._lease)
        self._steps = RecordedSteps(
            lambda after: self._ask(lambda: self._store.recorded_steps(self._run, after)), display
        )
        self._relay = StopRelay(stops, display)

    def finish(self) -> RunDetail:
        """Bring the run to its end, or see it come there.

        Raises:
            Interrupted: a request to stop this command; it has released the run.
            StoreError: the store cannot be used, or was away for too long.
            RunNotFound: the run was deleted.
        """
        try:
            if (standing := self._standing()).state.ended:
                self._display.note(f"it has ended already, {standing.state}; this is its outcome")
                return self._outcome()
            self._steps.show()
            while True:
                asked = time.monotonic()
                if (standing := self._standing()).state.ended:
                    break
                if self._stops.count:
                    raise Interrupted
                self._advance(standing, asked)
                self._display.refresh()
            self._display.waiting("", None)
            self._steps.show()
            return self._outcome()
        finally:
            self._store.close()
            self._processes.close()

    def _advance(self, standing: Standing, asked: float) -> None:
        if standing.claim is not None:
            self._follow(standing, standing.claim, asked)
        elif standing.suspend and not standing.cancel:
            self._wait("the run is suspended", None)
        elif standing.due_in > 0 and standing.delay > 0:
            # The server's clock may have been set back: no delay is longer than the one that was given.
            due = time.monotonic() + min(standing.due_in, standing.delay)
            self._wait(f"crashed {standing.crashes} times without a new step; next attempt", due)
        elif (claim := self._ask(lambda: self._store.claim(self._run, standing.attempt, this_process()))) is not None:
            self._attempt(claim)

    # An attempt of our own.

    def _attempt(self, claim: Claim) -> None:
        self._display.waiting("", None)
        live = self._display.live
        process = AttemptProcess(
            {
                "PERDURE_DATABASE_URL": self._place.url,
                "PERDURE_RUN_ID": str(self._run),
                "PERDURE_CLAIM": str(claim),
                "PERDURE_PATIENCE_SECONDS": str(PATIENCE),
                "PERDURE_IMPORT_PATH": str(self._folder or ""),
            },
            self._display.event,
            self._display.output if live else None,
        )
        try:
            while (code := process.wait(self._stops, 0.1 if live else 60.0)) is None:
                self._relay.relay(process)
                self._display.refresh()
        finally:
            process.close()
        self._display.attempt_ended()
        self._judge(code, claim)

    def _judge(self, code: int, claim: Claim) -> None:
        """Report an end that is not in the store, and release the run if the process could not."""
        end = _EXIT_CODES.get(code)
        match end:
            case ExitCode.NOT_STARTED | ExitCode.USAGE:
                if self._release_unbegun(claim, AttemptEnd.RELEASED, "the attempt could not start"):
                    raise StoreError("the attempt could not start; the output of its process stands above")
            case ExitCode.RELEASED:
                if not self._release_unbegun(claim, AttemptEnd.RELEASED, "terminated") and not self._stops.count:
                    self._wait("the run was released; next attempt", time.monotonic() + _PAUSE, whole=True)
            case ExitCode.CRASHED:
                self._release_unbegun(claim, AttemptEnd.NEVER_BEGUN, "its process died before the attempt began")
            case None:
                if code < 0:
                    self._display.note(f"the attempt's supervisor was killed by signal {-code}")
            case (
                ExitCode.SUCCEEDED | ExitCode.FAILED | ExitCode.CANCELLED | ExitCode.SUPERSEDED | ExitCode.SECOND_START
            ):
                pass
            case _:
                assert_never(end)

    def _release_unbegun(self, claim: Claim, ending: AttemptEnd, detail: str) -> bool:
        """Release the run of an attempt that has not begun. Returns whether it has not."""
        standing = self._standing()
        if standing.claim != claim or standing.begun:
            return False
        self._release_run(claim, ending, detail)
        return True

    # A run that another process has.

    def _follow(self, standing: Standing, claim: Claim, asked: float) -> None:
        match self._elsewhere.look(standing, claim, asked):
            case Works(process):
                self._steps.follow(standing)
                place = f"in another process (pid {process.pid})"
                self._wait(f"attempt {standing.attempt} runs {place}; following it", None)
            case Dead(_, death):
                self._display.note(f"attempt {standing.attempt}: {death.detail}; going on in its place")
                ended = ProcessEnd(death.ending, death.detail, death.counter)
                self._ask(Release(self._processes, death.process, ended, lease=self._lease).finish)
            case Unbegun.AWAITED:
                self._wait(f"attempt {standing.attempt} is about to begin in another process", None)
            case Unbegun.CLAIMER_GONE as gone:
                self._release_run(claim, AttemptEnd.RELEASED, gone)
            case Unbegun.NEVER_BEGAN as never:
                self._release_run(claim, AttemptEnd.NEVER_BEGUN, never)

    def _release_run(self, claim: Claim, ending: AttemptEnd, detail: str) -> None:
        store = AttemptStore(Opener(self._place.url, patience=ASK))
        try:
            self._ask(lambda: store.end_attempt(self._run, claim, ending, detail=detail))
        finally:
            store.close()

    # Waiting, and calls of the store.

    def _wait(self, what: str, until: float | None, *, whole: bool = False) -> None:
        """Wait a moment, or all of the time until then; less after a signal to stop."""
        self._display.waiting(what, until)
        ends = until if whole and until is not None else min(until or 1e18, time.monotonic() + LOOK)
        wait(self._stops, self._display, ends)

    def _standing(self) -> Standing:
        found = self._ask(lambda: self._store.standing(self._run))
        if found is None:
            raise RunNotFound("the run is gone: it was deleted meanwhile")
        return found

    def _outcome(self) -> RunDetail:
        found = self._ask(lambda: self._store.outcome(self._run))
        if found is None:
            raise RunNotFound("the run is gone: it was deleted meanwhile")
        return found

    def _ask(self, question: Callable[[], T]) -> T:
        """Repeat a call of the store until it answers; reads of other processes before a failure count no more."""
        since = time.monotonic()
        while True:
            try:
                return question()
            except StoreUnavailable as error:
                self._elsewhere.failed()
                if self._stops.count:
                    raise Interrupted from error
                if time.monotonic() - since > PATIENCE:
                    raise
                self._display.waiting(f"the store does not answer, trying again ({error})", None)
                self._place.ensure()
                wait(self._stops, self._display, time.monotonic() + LOOK)
