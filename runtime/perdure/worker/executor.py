"""Where a worker's runs are executed: async ones in one loop of one thread, sync ones in a thread each.

Runs are distinguished by their claims: an attempt that was superseded here may still unwind while the next one runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..attempt_results import AttemptResult, Crashed, without_exceptions
from ..definitions import WorkflowDefinition
from ..engine.branches.attempt import Attempt, Observer
from ..engine.tasks.loop import RunLoop
from ..engine.workflow_call import execute, execute_async
from ..owned_thread import Died, OwnedThread
from ..store.attempts.checkpoint import Recorded
from ..store.attempts.idle_connections import IdleConnections
from ..store.attempts.inline_committer import InlineCommitter
from ..store.attempts.loop_committer import LoopCommitter
from ..store.attempts.thread_committer import ThreadCommitter
from ..store.postgres.opener import Opener
from ..store.workers.claims import ClaimedRun
from .timers import Timer

__all__ = ["Executor", "Running"]

_log = logging.getLogger("perdure.worker")


@dataclass(slots=True, eq=False)
class Running:
    """A run that this process has claimed, up to where its end is in the store."""

    run: ClaimedRun
    definition: WorkflowDefinition
    since: float
    """Monotonic time of the claim."""

    attempt: Attempt | None = None
    checkpointed: bool = False
    """Whether this attempt has stored an outcome: its count of crashes begins anew."""

    ended: bool = False
    """Whether its end is known, and on its way into the store."""

    timer: Timer | None = None
    """Of its deadline."""


class _Eye(Observer):
    """Sees the first step of an attempt that is stored."""

    def __init__(self, running: Running, checkpointed: Callable[[Running], None]) -> None:
        self._running = running
        self._checkpointed = checkpointed

    def started(self, key: str) -> None: ...

    def tried(self, key: str, tries: int, error: BaseException, pause: float) -> None:
        _log.info("step %s: try %d failed, next in %.1f s: %r", key, tries, pause, error)

    def finished(
        self,
        key: str,  # noqa: ARG002
        outcome: str,  # noqa: ARG002
        tries: int,  # noqa: ARG002
        seconds: float,  # noqa: ARG002
        error: BaseException | None,  # noqa: ARG002
    ) -> None:
        if not self._running.checkpointed:
            self._running.checkpointed = True
            self._checkpointed(self._running)

    def replayed(self, key: str, outcome: str, attempt: int) -> None: ...

    def waits(self, where: str) -> None: ...


class _Committers:
    """The connections on which the runs of one database system checkpoint."""

    def __init__(self, url: str, system: str, died: Died) -> None:
        self.system = system
        self.opener = Opener(url, system=system)
        self.thread = ThreadCommitter(self.opener, alone=False)
        self.inline = InlineCommitter(self.thread, died)
        self.loop: LoopCommitter | None = None


class Executor:
    """Executes runs.

    Args:
        url: of the store.
        lease: seconds.
        step_connections: of database steps at a time, of all runs together.
        checkpointed: learns of a run's first stored step in this attempt, in any thread.
        ended: gets how the attempt at a run ended; in any thread.
        cleanup_began: learns for how many seconds a cancelled run may clean up, in any thread.
        died: gets the error that ended a thread in which runs are executed.
    """

    def __init__(
        self,
        url: str,
        lease: float,
        *,
        step_connections: int,
        checkpointed: Callable[[Running], None],
        ended: Callable[[Running, AttemptResult | Crashed], None],
        cleanup_began: Callable[[Running, float], None],
        died: Died,
    ) -> None:
        self._url = url
        self._lease = lease
        self._died = died
        self._checkpointed = checkpointed
        self._ended = ended
        self._connections = IdleConnections(step_connections)
        self._cleanup_began = cleanup_began
        self._committers: list[_Committers] = []
        self._loop: RunLoop | None = None
        self._loop_thread: OwnedThread | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, running: Running, recorded: list[Recorded], system: str) -> None:
        """Execute a claimed run, whose checkpoints are in this database system; sets its `attempt`."""
        committers = self._committers_for(system)
        run = running.run
        is_async = running.definition.is_async
        loop = self._running_loop() if is_async else None
        if loop is not None and committers.loop is None:
            committers.loop = LoopCommitter(committers.opener, loop)
        attempt = Attempt(
            run,
            recorded,
            committers.thread,
            loop=loop,
            loop_committer=committers.loop if is_async else None,
            inline_committer=committers.inline if is_async else None,
            observer=_Eye(running, self._checkpointed),
            database_url=self._url,
            lease=self._lease,
            connections=self._connections,
        )
        if run.cleanup is not None:
            from ..engine.ends.cancellation import allow_cleanup  # which most runs do without

            allow_cleanup(attempt, lambda seconds: self._cleanup_began(running, seconds))
        running.attempt = attempt
        if loop is not None and committers.loop is not None:
            loop.call_in_loop(self._start_async, loop, running, attempt, committers.loop)
            return
        name = f"perdure-run-{run.id[:40]}"
        OwnedThread(partial(self._run_sync, running, attempt), name=name, died=self._died).start()

    def tidy(self) -> None:
        """Close connections that have not been needed for a while."""
        self._connections.tidy()

    def close(self) -> None:
        """End the loop and the connections."""
        loop, thread = self._loop, self._loop_thread
        if loop is not None and thread is not None:
            loop.call_in_loop(self._close_in_loop, loop)
            thread.join(5.0)
            if not thread.is_alive() and not loop.is_closed():
                # The thread died, or left tasks behind, so that they are not closed there.
                self._close_in_loop(loop)
                loop.close()
        for committers in self._committers:
            committers.thread.close()
        self._connections.close()

    def _committers_for(self, system: str) -> _Committers:
        # Another system may come to answer at this address: its runs get connections of their own, which know no other.
        if not self._committers or self._committers[-1].system != system:
            self._committers.append(_Committers(self._url, system, self._died))
        return self._committers[-1]

    def _run_sync(self, running: Running, attempt: Attempt) -> None:
        result: AttemptResult | Crashed
        try:
            result = without_exceptions(execute(running.definition, attempt))
        except BaseException as error:  # noqa: BLE001 nothing of a run may be left without an end
            result = _broken_off(running.run, error)
        self._ended(running, result)

    # In the loop's thread.

    def _running_loop(self) -> RunLoop:
        if self._loop is None:
            self._loop = RunLoop()
            work = partial(self._work_loop, self._loop)
            self._loop_thread = OwnedThread(work, name="perdure-loop", died=self._died).start()
        return self._loop

    @staticmethod
    def _work_loop(loop: RunLoop) -> None:
        loop.bind_thread()
        asyncio.set_event_loop(loop)
        loop.run_forever()
        if not asyncio.all_tasks(loop):
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _start_async(self, loop: RunLoop, running: Running, attempt: Attempt, committer: LoopCommitter) -> None:
        task = loop.create_task(self._run_async(running, attempt, committer))
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._died(error)

    async def _run_async(self, running: Running, attempt: Attempt, committer: LoopCommitter) -> None:
        committer.runs += 1
        result: AttemptResult | Crashed
        try:
            result = without_exceptions(await execute_async(running.definition, attempt))
        except BaseException as error:  # noqa: BLE001 nothing of a run may be left without an end
            result = _broken_off(running.run, error)
        finally:
            committer.runs -= 1
        self._ended(running, result)

    def _close_in_loop(self, loop: RunLoop) -> None:
        for committers in self._committers:
            if committers.loop is not None:
                committers.loop.close()
        loop.stop()


def _broken_off(run: ClaimedRun, error: BaseException) -> Crashed:
    _log.error("run %s: its attempt broke off", run.id, exc_info=error)
    return Crashed(f"the attempt broke off: {error!r}")
