"""`Worker`: claims runs of a queue and executes them, in a process of its own or beside an application."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Self

from .. import log_fields
from ..definitions import WorkflowDefinition, definition_of, registered
from ..errors import PerdureError, UsageError, WorkerFailed
from ..forks import renew_in_children
from ..names import check_id
from ..origin import origin_of
from ..process.identity import this_process
from ..store.runs.model import owner_of
from ..store.target import store_of
from .dispatcher import Dispatcher
from .settings import OWN_CONNECTIONS, WorkerSettings

__all__ = ["Worker"]

_GRACE = 20.0
_AT_EXIT = 2.0
_SIGNAL_POLL = 0.5

_parents: list[Dispatcher] = []
"""Copies of the dispatchers of this process's parent. Kept, so that dropping them ends nothing here."""


class Worker:
    """Executes the runs of a queue whose workflows this process knows; any number of workers share a queue.

    Args:
        url: of the store; `PERDURE_DATABASE_URL` by default.
        queue: whose runs to claim.
        workflows: marked functions; by default all that are marked when the worker starts.
        concurrency: async runs at a time, in one event loop.
        threads: sync runs at a time, each in a thread.
        lease: seconds without a sign of life after which this worker takes another for dead.
        max_connections: to Postgres at a time. A worker takes up to 11 for itself; each database step takes another
            while it runs, and waits where there is none.
        local: where there is no URL, use the embedded database, which the commands use then. It runs while this works.
        direct_url: of a connection without a pooler in between, on which it is notified of new work;
            `PERDURE_DATABASE_DIRECT_URL`, or else `url`, by default.

    Raises:
        UsageError: there is no store, or an argument is none.
    """

    def __init__(  # noqa: PLR0913  a worker's settings, by name
        self,
        url: str | None = None,
        *,
        queue: str = "default",
        workflows: Iterable[Callable[..., Any]] | None = None,
        concurrency: int = 1000,
        threads: int = 64,
        lease: float = 6.0,
        max_connections: int = 20,
        direct_url: str | None = None,
        local: bool = False,
    ) -> None:
        if concurrency < 1 or threads < 1:
            raise UsageError(f"concurrency={concurrency}, threads={threads}: a worker needs at least one of each")
        if not lease >= 0.1:
            raise UsageError(f"lease={lease!r}: seconds, 0.1 or more")
        if max_connections <= OWN_CONNECTIONS:
            raise UsageError(
                f"max_connections={max_connections}: a worker takes up to {OWN_CONNECTIONS} for itself, and database"
                " steps need one at least"
            )
        self._url, self._local = store_of(url, local=local)
        self._direct_url = direct_url or os.environ.get("PERDURE_DATABASE_DIRECT_URL") or self._url
        self._queue = check_id(queue, "name of a queue")
        self._definitions = None if workflows is None else [_definition(one) for one in workflows]
        self._concurrency = concurrency
        self._threads = threads
        self._lease = lease
        self._max_connections = max_connections
        self._dispatcher: Dispatcher | None = None
        self._handlers: dict[int, Any] = {}
        renew_in_children(self)

    def renew(self) -> None:
        """In a forked child: the runs and their threads are the parent's. This worker may be started here as well."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        if self._dispatcher is not None:
            atexit.unregister(self.stop)
            _parents.append(self._dispatcher)
            self._dispatcher = None

    def start(self) -> None:
        """Work in the background, until `stop`.

        Raises:
            UsageError: it has been started already, there is no workflow to work on, or one was decorated again.
            SchemaMismatch: client and schema do not work together.
            StoreError: the store refuses. One that is away is waited for.
        """
        self._start()

    def _start(self) -> Dispatcher:
        if self._dispatcher is not None:
            raise UsageError("this worker has been started already")
        definitions = registered().values() if self._definitions is None else self._definitions
        if not definitions:
            raise UsageError("no workflow is known here: import the modules that mark them before the worker starts")
        for one in definitions:
            one.check_reachable()
        log_fields.install()
        settings = WorkerSettings(
            url=self._url,
            direct_url=self._direct_url,
            owner=owner_of(self._queue),
            definitions={one.entrypoint: one for one in definitions},
            concurrency=self._concurrency,
            threads=self._threads,
            lease=self._lease,
            max_connections=self._max_connections,
            origins=None if self._local is None else [file for one in definitions if (file := origin_of(one))],
        )
        dispatcher = Dispatcher(settings, this_process())
        if self._local is not None:
            self._local.ensure()
        try:
            dispatcher.start()
        except BaseException:
            self._let_go()
            raise
        if self._local is not None:
            self._local.watch()
        self._dispatcher = dispatcher
        # An application that ends without a word releases its runs all the same.
        atexit.register(self.stop, _AT_EXIT)
        return dispatcher

    @property
    def failure(self) -> PerdureError | None:
        """The error that ended a started worker before `stop`: for an application's health check."""
        dispatcher = self._dispatcher
        if dispatcher is None or dispatcher.failure is None or not dispatcher.over.is_set():
            return None
        return _failed(dispatcher.failure)

    def stop(self, timeout: float = _GRACE) -> None:
        """Take no more runs, let steps in flight finish for up to `timeout` seconds, and release the runs.

        A sync step that takes longer is left behind in its thread; nothing that it does is accepted any more.

        Raises:
            WorkerFailed: the worker had ended by itself, or could not end in order.
        """
        dispatcher = self._dispatcher
        if dispatcher is None:
            return
        dispatcher.stop(timeout)
        dispatcher.over.wait()
        self._end(dispatcher)

    def run(self) -> None:
        """Work until `stop` is called elsewhere or, in the main thread, SIGTERM or SIGINT comes; a second one hurries.

        Raises:
            UsageError: there is no workflow to work on, or one was decorated again.
            SchemaMismatch: client and schema do not work together.
            StoreError: the store refuses. One that is away is waited for.
            WorkerFailed: the worker ended by itself.
        """
        dispatcher = self._start()
        graces = iter((_GRACE,))

        def told(_number: int, _frame: FrameType | None) -> None:
            dispatcher.stop(next(graces, 0.0))

        numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
        self._handlers = {number: signal.signal(number, told) for number in numbers}
        try:
            # Not one long wait: two signals at once may both be taken in other threads, which does not wake this one.
            while not dispatcher.over.wait(_SIGNAL_POLL):
                pass
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers = {}
        self._end(dispatcher)

    def _end(self, dispatcher: Dispatcher) -> None:
        atexit.unregister(self.stop)
        self._dispatcher = None
        self._let_go()
        if (failure := dispatcher.failure) is not None:
            raise _failed(failure) from failure

    def _let_go(self) -> None:
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _failed(failure: BaseException) -> WorkerFailed:
    error = WorkerFailed(
        f"the worker ended by an error of its own ({failure!r}); the runs that it held go on in other workers."
        " Its traceback is in the log of 'perdure.worker'; start it anew"
    )
    error.__cause__ = failure
    return error


def _definition(workflow: Callable[..., Any]) -> WorkflowDefinition:
    found = definition_of(workflow)
    if found is None:
        raise UsageError(f"{workflow!r} is not a workflow: mark it @workflow")
    return found
