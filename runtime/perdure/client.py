"""Starting runs and getting their results, from any program: the public face of the store's runs.

A client executes nothing; workers and pods do. It may be shared between threads. The store may go away and come back:
calls are repeated for ten seconds, waiting for a result goes on for as long as its caller waits.
"""

from __future__ import annotations

import asyncio
import builtins
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from . import log_fields
from .definitions import definition_of
from .errors import (
    ResultTimeout,
    RunError,
    RunFailed,
    RunNotFound,
    RunWasCancelled,
    UsageError,
)
from .names import check_id
from .serialization.failures.failure import Failure
from .start import Start
from .store.runs.model import Ending, RunDetail, RunFilter, RunInfo, RunState, owner_of
from .store.runs.runs import RunStore
from .store.runs.wait import RunWaiter
from .store.target import store_of

__all__ = ["Client", "RunHandle", "RunInfo", "RunState"]


class Client:
    """Starts runs in a queue, finds, cancels and deletes them.

    Args:
        url: of the database; default: the environment's PERDURE_DATABASE_URL.
        queue: where runs are started and looked for.
        local: where there is no URL, use the embedded database, which the commands use then. It is started when it is
            needed, and runs until the client is closed, at least.

    Raises:
        UsageError: there is no URL.
    """

    def __init__(self, url: str | None = None, *, queue: str = "default", local: bool = False) -> None:
        self.queue = check_id(queue, "name of a queue")
        log_fields.install()
        given, self._local = store_of(url, local=local)
        ensure = None if self._local is None else self._local.ensure
        self._store = RunStore(given, ensure=ensure)
        self._endings = RunWaiter(given, ensure=ensure)

    def close(self) -> None:
        """End the connections; a call that still waits for a result gets an error."""
        self._endings.close()
        self._store.close()
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(
        self,
        workflow: Callable[..., Any] | str,
        /,
        *args: object,
        id: str | None = None,
        input: Mapping[str, object] | None = None,
        queue: str | None = None,
        backoff_limit: int = 6,
        deadline: float | None = None,
    ) -> RunHandle:
        """Start a run, or find the one that was started with this id.

        Args:
            workflow: a function marked `@workflow`, or `module:function`.
            args: its arguments by position.
            id: the run's name in its queue, one line of text of up to 512 bytes; with the same workflow and input
                again it is the same run. Default: a new UUID.
            input: its arguments by name, in place of `args`; here JSON as people write it will do.
            queue: default: the client's.
            backoff_limit: how many crashes in a row without a new checkpoint are forgiven.
            deadline: seconds from the first begin, after which the run fails.

        Raises:
            InputError: the input does not fit the workflow.
            RunConflict: the id belongs to a run of another workflow, or with another input.
            StoreUnavailable: the store is away. If the start reached it, the same call with an id finds the run.
        """
        start = Start.of(
            workflow,
            args,
            queue=self.queue if queue is None else queue,
            id=id,
            input=input,
            backoff_limit=backoff_limit,
            deadline=deadline,
        )
        run = start.run
        return RunHandle(self, run.id, start.begin(self._store), run.owner, run.entrypoint)

    def handle(self, id: str | UUID) -> RunHandle:
        """A handle of a run, by its id in the client's queue or its UUID.

        Raises:
            RunNotFound: there is none.
        """
        run = self.get(id)
        return RunHandle(self, run.id, run.run_id, run.owner, run.entrypoint)

    def get(self, id: str | UUID) -> RunInfo:
        """How a run stands.

        Raises:
            RunNotFound: there is none with this id in the client's queue, nor with this UUID.
        """
        found = self._store.find(id, self.queue)
        if found is None:
            raise RunNotFound(f"queue {self.queue!r} has no run {str(id)!r}")
        return found

    def show(self, id: str | UUID) -> RunDetail:
        """Everything that is stored of a run: values, attempts, steps.

        Raises:
            RunNotFound: there is none.
        """
        found = self._store.detail(self.get(id).run_id)
        if found is None:
            raise RunNotFound(f"run {str(id)!r} was deleted just now")
        return found

    def cancel(self, id: str | UUID, *, at_once: bool = False) -> bool:
        """Request a run's cancellation; whether it had not ended yet.

        A run that no process has ends at once. Otherwise a running async step is interrupted; a sync workflow stops
        between steps and at a step's timeout. A run whose workflow declares `cleanup` goes on for that.

        Args:
            id: of the run.
            at_once: whether it ends without cleaning up, or in the middle of that.

        Raises:
            RunNotFound: there is none.
        """
        return self._store.cancel(self.get(id).run_id, at_once=at_once)

    def delete(self, id: str | UUID, *, force: bool = False) -> None:
        """Delete a run with its steps and attempts, when it has ended; with `force` at any time.

        Raises:
            RunNotFound: there is none.
            RunError: it has not ended.
        """
        run = self.get(id)
        if not self._store.delete(run.run_id, force=force) and self._store.find(run.run_id) is not None:
            raise RunError(f"run {run.id!r} has not ended ({run.state}): cancel it first, or delete it with force")

    def list(
        self,
        *,
        states: Sequence[RunState | str] | None = None,
        id_prefix: str | None = None,
        entrypoint: str | None = None,
        created_since: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 100,
        after: RunInfo | None = None,
        every_queue: bool = False,
    ) -> builtins.list[RunInfo]:
        """Runs of the client's queue, newest first.

        Args:
            states: any of these.
            id_prefix: with which their ids begin.
            entrypoint: of this workflow.
            created_since: at that time or later.
            created_before: before that time.
            limit: the most to list.
            after: the last run of the page before.
            every_queue: of all queues and clusters in this store.
        """
        return self._store.list(
            RunFilter(
                owner=None if every_queue else owner_of(self.queue),
                states=None if states is None else [_state(state) for state in states],
                id_prefix=id_prefix,
                entrypoint=entrypoint,
                created_since=created_since,
                created_before=created_before,
                limit=limit,
                after=after,
            )
        )


class RunHandle:
    """One run, of which results and requests go through its client.

    Attributes:
        id: the name that its user gave it.
        run_id: the store's own id of it.
    """

    __slots__ = ("_client", "_entrypoint", "_owner", "id", "run_id")

    def __init__(self, client: Client, id: str, run_id: UUID, owner: str, entrypoint: str) -> None:
        self.id = id
        self.run_id = run_id
        self._client = client
        self._owner = owner
        self._entrypoint = entrypoint

    def __repr__(self) -> str:
        return f"<RunHandle {self.id!r} of {self._entrypoint}>"

    def status(self) -> RunInfo:
        """How the run stands.

        Raises:
            RunNotFound: it was deleted.
        """
        return self._client.get(self.run_id)

    def cancel(self, *, at_once: bool = False) -> bool:
        """As `Client.cancel`."""
        return self._client.cancel(self.run_id, at_once=at_once)

    def result(self, timeout: float | None = None) -> Any:
        """The workflow's result; waits for it for `timeout` seconds at most, or without a limit.

        Raises:
            RunFailed: it failed; `__cause__` is the exception, where it can be rebuilt.
            RunWasCancelled: it ended cancelled.
            ResultTimeout: it has not ended in time; it goes on.
            RunNotFound: it was deleted.
        """
        future = self._watch()
        try:
            return self._read(future.result(timeout))
        except CancelledError as error:
            raise UsageError("the client was closed while it waited for a result") from error
        except TimeoutError as error:
            if future.done() and not future.cancelled() and future.exception() is None:
                raise
            raise self._late(timeout) from error
        finally:
            future.cancel()

    async def wait_result(self, timeout: float | None = None) -> Any:
        """As `result`, without holding up the event loop."""
        future = self._watch()
        try:
            async with asyncio.timeout(timeout):
                ending = await asyncio.wrap_future(future)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise UsageError("the client was closed while it waited for a result") from error
        except TimeoutError as error:
            raise self._late(timeout) from error
        finally:
            future.cancel()
        return self._read(ending)

    def _watch(self) -> Future[Ending]:
        return self._client._endings.watch(self.run_id, self._owner)  # noqa: SLF001 - its other half

    def _late(self, timeout: float | None) -> ResultTimeout:
        return ResultTimeout(f"run {self.id!r} has not ended within {timeout:g} s; it goes on, ask again")

    def _read(self, ending: Ending) -> object:
        failure = Failure.from_json(ending.error) if ending.error is not None else None
        if ending.state is RunState.CANCELLED:
            if failure is None:
                raise RunWasCancelled(f"run {self.id!r} was cancelled")
            what = f"run {self.id!r} was cancelled, and its cleanup failed: {failure.type}: {failure.message}"
            raise RunWasCancelled(what) from failure.revive()
        if ending.state is RunState.FAILED:
            if failure is None:
                raise RunFailed(f"run {self.id!r} failed; no error is recorded")
            raise RunFailed(f"run {self.id!r} failed: {failure.type}: {failure.message}") from failure.revive()
        text = ending.result if ending.result is not None else "null"
        definition = definition_of(self._entrypoint)
        return json.loads(text) if definition is None else definition.result.decode(text)


def _state(state: RunState | str) -> RunState:
    try:
        return RunState(state)
    except ValueError as error:
        raise UsageError(f"{state!r} is no state of a run; they are {', '.join(RunState)}") from error
