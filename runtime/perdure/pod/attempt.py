"""One attempt of one run, in the process that is made for it: begin, replay, go on, and record its end.

A superseded attempt ends its process on the spot, from the thread that finds out: user code cannot keep it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn, assert_never
from uuid import uuid4

from perdure import errors, log_fields
from perdure.attempt_ends import AttemptEnd
from perdure.attempt_results import (
    AttemptResult,
    Cancelled,
    Failed,
    Interrupted,
    Released,
    RunEnd,
    Succeeded,
    Superseded,
)
from perdure.engine.branches.attempt import Attempt, Observer
from perdure.engine.workflow_call import execute, execute_async
from perdure.entrypoints import load
from perdure.errors import (
    CleanupCut,
    DeadlineExceeded,
    EntrypointError,
    PerdureError,
    RunCancelled,
    StoreChanged,
    StoreError,
    StoreUnavailable,
    ValueNotStorable,
)
from perdure.names import CANCEL_KEY
from perdure.owned_thread import OwnedThread
from perdure.process.identity import host_identity, process_started
from perdure.store.attempts.attempts import AttemptStore, Begun, SecondStart
from perdure.store.attempts.checkpoint import Answer, Recorded
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from perdure.store.postgres.process_identity import ProcessIdentity

from ..process.exit_codes import ExitCode
from ..process.progress_events import Events
from .channel import ChildChannel, Request
from .environment import PodEnvironment
from .source import SourceFolder, files_of_source

if TYPE_CHECKING:
    from perdure.definitions import WorkflowDefinition
    from perdure.engine.tasks.loop import RunLoop
    from perdure.store.attempts.loop_committer import LoopCommitter

__all__ = ["run_attempt"]

_START_PATIENCE = 60.0
"""Seconds for which the start of an attempt waits for a store that is away: nothing is lost by giving that up."""

_OVERTIME = 5.0
"""Seconds that a run has to end by itself once its deadline is over, or its time to clean up."""

_GOODBYE = 15.0
"""Seconds that the code of a cancelled run has to end, beyond those of the step that is under way."""


def run_attempt(channel: ChildChannel, environment: PodEnvironment) -> int:
    """Run the attempt that the environment names; returns the exit code, which is announced on the channel by then."""
    patience = environment.patience_seconds
    opener = Opener(environment.database_url, patience=min(_START_PATIENCE, patience or _START_PATIENCE))
    store = AttemptStore(opener)
    code: int
    try:
        begun = store.begin(environment.run_id, environment.claim, _identity(environment))
    except errors.Superseded as error:
        code = _refused(ExitCode.SUPERSEDED, str(error))
    except SecondStart as error:
        code = _refused(ExitCode.SECOND_START, str(error))
    except StoreError as error:
        code = _refused(ExitCode.NOT_STARTED, str(error))
    else:
        channel.begun(begun.token)
        opener.system, opener.patience = begun.system, patience
        code = _AttemptProcess(channel, environment, opener, store, begun).run()
    channel.ended(code)
    return code


def _identity(environment: PodEnvironment) -> ProcessIdentity:
    pid = os.getpid()
    return ProcessIdentity(
        id=uuid4(),
        host=host_identity(),
        pid=pid,
        pid_started=process_started(pid) or 0,
        node=environment.node_name,
    )


def _refused(code: ExitCode, why: str) -> ExitCode:
    _say(f"the attempt did not start: {why}")
    return code


def _say(text: str) -> None:
    sys.stderr.write(f"perdure: {text}\n")


class _AttemptProcess:
    """An attempt that has begun, up to its end."""

    def __init__(
        self, channel: ChildChannel, environment: PodEnvironment, opener: Opener, store: AttemptStore, begun: Begun
    ) -> None:
        self._channel = channel
        self._environment = environment
        self._opener = opener
        self._store = store
        self._begun = begun
        self._deadline = None if begun.deadline_in is None else time.monotonic() + begun.deadline_in
        self._events = Events.of_environment()
        self._ending = threading.Lock()
        self._source: SourceFolder | None = None
        self._attempt: Attempt | None = None

    def run(self) -> int:
        try:
            return self._end(self._run())
        except errors.Superseded as error:
            _say(str(error))
            return ExitCode.SUPERSEDED
        except StoreChanged as error:
            _say(f"the attempt ends: {error}")
            return ExitCode.RELEASED
        except StoreError as error:
            _say(f"the run's end could not be recorded, so it goes on from its last step in another attempt: {error}")
            return ExitCode.NOT_STARTED
        finally:
            if self._source is not None:
                self._source.close()

    def _run(self) -> AttemptResult:
        begun = self._begun
        run, token = self._environment.run_id, begun.token
        recorded = self._store.load([(run, token)])[run] if begun.number > 1 else []
        if (result := self._over_already(recorded)) is not None:
            return result
        self._events.begun(begun.number, len(recorded))
        try:
            if begun.source is not None:
                self._source = SourceFolder(files_of_source(begun.source))
        except EntrypointError as error:
            return Failed.of(error)
        except OSError as error:
            # This place's fault, not the workflow's: another may have room.
            why = "give the pod a folder that it may write to, such as an emptyDir on /tmp, or name one in TMPDIR"
            return Released(f"no place for the run's source: {error}; {why}")
        self._find_code()
        log_fields.install()
        try:
            definition = load(begun.entrypoint)
        except EntrypointError as error:
            return Failed.of(error)
        if definition.cleanup != begun.declared_cleanup and not begun.cancelled:
            self._store.declare_cleanup(run, token, definition.cleanup)
        claimed = begun if begun.cancelled else replace(begun, cleanup=definition.cleanup)
        committer = ThreadCommitter(self._opener)
        observer = _Progress(self._channel, self._events)

        def attempt(loop: RunLoop | None = None, loop_committer: LoopCommitter | None = None) -> Attempt:
            made = Attempt(
                claimed,
                recorded,
                committer,
                loop=loop,
                loop_committer=loop_committer,
                observer=observer,
                database_url=self._environment.database_url,
                lease=self._environment.lease_seconds,
                on_superseded=self._leave_superseded,
            )
            if claimed.cleanup is not None:
                from perdure.engine.ends.cancellation import allow_cleanup  # which most runs do without

                allow_cleanup(made, self._cleans_up)
            observer.attempt = self._attempt = made
            OwnedThread(partial(self._listen, made), name="perdure-listens", died=partial(_deaf, made)).start()
            return made

        # The attempt has one connection from begin to end: connections of pods count in Postgres's limit.
        if definition.is_async:
            return self._run_loop(definition, attempt)
        store = self._store  # at the deadline another one may stand there
        committer.adopt(store.release())
        try:
            return execute(definition, attempt())
        finally:
            store.adopt(committer.release())

    def _over_already(self, recorded: list[Recorded]) -> AttemptResult | None:
        """The end of an attempt for which there is nothing to do."""
        begun = self._begun
        if begun.cancelled and not (begun.cleanup is not None and begun.cleanup > 0):
            return Cancelled()
        if begun.suspend and not begun.cancelled:
            return Released("the run is suspended")
        if any(one.key == CANCEL_KEY for one in recorded):
            # It cleans up, and has a limit of its own for that.
            self._deadline = None
        elif begun.deadline_in is not None and begun.deadline_in <= 0:
            return Failed.of(self._late())
        return None

    def _find_code(self) -> None:
        """Put the workflow's code on the import path: the run's own source before all else."""
        if self._environment.import_path is not None:
            sys.path.insert(0, self._environment.import_path)
        if self._source is not None:
            # `load` would put the current folder first, were it not there already.
            sys.path[:0] = [self._source.path, os.getcwd()]

    def _run_loop(
        self, definition: WorkflowDefinition, attempt: Callable[[RunLoop, LoopCommitter], Attempt]
    ) -> AttemptResult:
        # Sync workflows, which start no slower for these, have no use for them.
        from perdure.engine.tasks.loop import RunLoop
        from perdure.store.attempts.loop_committer import LoopCommitter

        loop = RunLoop()
        committer = LoopCommitter(self._opener, loop)
        committer.runs = 1
        committer.adopt(self._store.release())
        try:
            return loop.run_until_complete(execute_async(definition, attempt(loop, committer)))
        finally:
            committer.close()

    # Requests of the supervisor, in a thread of its own.

    def _listen(self, attempt: Attempt) -> None:
        while not attempt.over.is_set():
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0 and not attempt.cleans_up:
                attempt.stop(self._late())
                if not attempt.over.wait(_OVERTIME):
                    self._cut_off(Failed.of(self._late()))
                return
            requests = self._requests(None if attempt.cleans_up else left)
            self._heed(attempt, requests)
            if Request.SUSPEND in requests:
                # A suspended run has no deadline, and its step in flight may take any time.
                self._deadline = None
            if isinstance(attempt.signal, RunCancelled):
                self._wait_for_the_end(attempt)
                return

    def _wait_for_the_end(self, attempt: Attempt) -> None:
        """A cancelled run's code that does not end is cut off, but for a step that is under way."""
        over = attempt.over.wait(_GOODBYE)
        while not over and attempt.in_step:
            over = attempt.over.wait(1.0)
        if not over:
            self._cut_off(Cancelled())

    def _cleans_up(self, seconds: float) -> None:
        """A cancelled run cleans up, for so many seconds at most."""
        if (attempt := self._attempt) is not None:
            ends = partial(self._end_cleanup, attempt, seconds)
            OwnedThread(ends, name="perdure-cleanup", died=partial(_deaf, attempt)).start()

    def _end_cleanup(self, attempt: Attempt, seconds: float) -> None:
        if attempt.over.wait(max(0.0, seconds)):
            return
        late = CleanupCut("the run's cleanup had not ended in its time, so it was ended")
        attempt.cancel(str(late), at_once=True)
        if not attempt.over.wait(_OVERTIME):
            self._cut_off(Cancelled(Failed.of(late)))

    def _requests(self, timeout: float | None) -> Request:
        try:
            return self._channel.wait(timeout)
        except OSError:
            # User code has closed all descriptors that it did not open itself.
            time.sleep(0.2)
            return self._channel.requests

    @staticmethod
    def _heed(attempt: Attempt, requests: Request) -> None:
        if requests & (Request.CANCEL | Request.CANCEL_AT_ONCE):
            why = "the run's cancellation was requested"
            attempt.cancel(why, at_once=Request.CANCEL_AT_ONCE in requests)
        if Request.DRAIN in requests:
            attempt.drain(errors.Released("the process was told to stop"))
        elif Request.SUSPEND in requests and Request.CANCEL not in requests:
            attempt.drain(errors.Released("the run's suspension was requested"))

    def _leave_superseded(self) -> None:
        _say("another attempt owns the run; this one ends at once")
        self._channel.ended(ExitCode.SUPERSEDED)
        os._exit(ExitCode.SUPERSEDED)

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded("the run had not ended by its deadline")

    def _cut_off(self, end: Failed | Cancelled) -> None:
        """End the run while something that does not return holds the main thread."""
        self._store = AttemptStore(self._opener)
        code = self._end(end)
        self._channel.ended(code)
        os._exit(code)

    # Its end.

    def _end(self, result: AttemptResult) -> int:
        with self._ending:
            code = self._record(result)
        self._events.ended(code)
        self._store.close()
        return code

    def _record(self, result: AttemptResult) -> ExitCode:
        match result:
            case Succeeded() | Failed() | Cancelled():
                return self._finish(result)
            case Released(why):
                _say(f"the run is released: {why}")
                self._channel.finishing()
                return self._release_run(why)
            case Interrupted():
                return _die_of_sigint()
            case Superseded():
                return ExitCode.SUPERSEDED
            case _:
                assert_never(result)

    def _finish(self, end: RunEnd) -> ExitCode:
        if not self._events:
            _show(end)
        self._channel.finishing()
        run, token = self._environment.run_id, self._begun.token
        try:
            answer = self._store.finish(run, token, end)
        except (StoreChanged, StoreUnavailable):
            raise
        except StoreError as error:
            # A result that the store refuses is a failure of the workflow; without a result the store takes it.
            end = Failed.of(ValueNotStorable(f"the store does not take the run's outcome: {error}"))
            answer = self._store.finish(run, token, end)
        match answer:
            case Answer.SUPERSEDED | Answer.GONE:
                _say("another attempt owns the run, or it was deleted; its outcome here does not count")
                return ExitCode.SUPERSEDED
            case Answer.SERVER_CHANGED:
                return self._release_run("the store was failed over to another server")
            case _:
                return _exit_code(end)

    def _release_run(self, why: str) -> ExitCode:
        answer = self._store.release_run(self._environment.run_id, self._begun.token, AttemptEnd.RELEASED, detail=why)
        return ExitCode.SUPERSEDED if answer in (Answer.SUPERSEDED, Answer.GONE) else ExitCode.RELEASED


def _die_of_sigint() -> NoReturn:
    """End as Python does of a SIGINT that nothing handled: a crash, which counts.

    A request to stop goes to the supervisor. The workflow itself, most likely, sent a signal to this process alone; a
    released run would send it again, for ever.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + signal.SIGINT)


def _show(end: RunEnd) -> None:
    """Write the error with which a run ended to standard error."""
    match end:
        case Failed(raised=error) | Cancelled(Failed(raised=error)):
            if isinstance(error, PerdureError):
                _say(f"the run fails: {error}")
            else:
                traceback.print_exception(error)
        case Succeeded() | Cancelled():
            pass
        case _:
            assert_never(end)


def _exit_code(end: RunEnd) -> ExitCode:
    match end:
        case Succeeded():
            return ExitCode.SUCCEEDED
        case Failed():
            return ExitCode.FAILED
        case Cancelled():
            return ExitCode.CANCELLED
        case _:
            assert_never(end)


def _deaf(attempt: Attempt, error: BaseException) -> None:
    """End the attempt: without this thread it would miss a cancellation, a deadline or the end of the process."""
    attempt.interrupt(errors.Released(f"the thread in which this attempt is told what to do died: {error!r}"))


class _Progress(Observer):
    """Reports the attempt's progress: to the supervisor, and to the reader of its events."""

    def __init__(self, channel: ChildChannel, events: Events) -> None:
        self._channel = channel
        self._events = events
        self.attempt: Attempt | None = None

    def started(self, key: str) -> None:
        self._show()
        self._events.started(key)

    def tried(self, key: str, tries: int, error: BaseException, pause: float) -> None:
        self._events.tried(key, tries, error, pause)

    def finished(self, key: str, outcome: str, tries: int, seconds: float, error: BaseException | None) -> None:
        self._show()
        self._events.finished(key, outcome, tries, seconds, error)

    def replayed(self, key: str, outcome: str, attempt: int) -> None:
        self._events.replayed(key, outcome, attempt)

    def waits(self, where: str) -> None:  # noqa: ARG002  the attempt has it as its current step
        self._show()

    def _show(self) -> None:
        if (attempt := self.attempt) is not None:
            self._channel.progress(attempt.steps_done, attempt.current_step)
