"""Watches Workflows and pods with kopf, which reconnects by itself; no other part of kopf is used.

kopf runs in a thread with its own loop, since it cancels all tasks of its loop when it ends. It ends after some errors
of a watch, and is then started again. Events that are lost meanwhile are found by a resync, which each start requests.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import kopf

from perdure.pauses import Pauses

from ..kube import Credentials
from .kopf_connection import WatchConnections

__all__ = ["EventSource", "Selects", "Watched"]

T = TypeVar("T")

_log = logging.getLogger("perdure.operator.events")

_RESTARTS = Pauses(1.0, 30.0, jitter=0.25)
_TRIES = Pauses(0.5, 10.0)
_IDENTITY = "perdure"
"""kopf's own identity, which is unused without peers. By default kopf looks up the user's name, and some platforms run
containers under users without a name."""
_JOIN = 1.0  # seconds
_ENDING = 0.5
"""Seconds for kopf to end by itself."""


@dataclass(frozen=True, slots=True)
class Watched(Generic[T]):
    """How the objects of one kind are read, and where they are delivered.

    Attributes:
        read: parses an object. Called in kopf's thread.
        deliver: takes the parsed object, and whether it was deleted. Called in the loop that runs the source.
    """

    read: Callable[[Mapping[str, Any]], T]
    deliver: Callable[[T, bool], None]


class Selects(Protocol):
    """Label selectors for the watched objects."""

    @property
    def workflows(self) -> str:
        """The selector for Workflows."""

    @property
    def pods(self) -> str:
        """The selector for pods."""


class EventSource:
    """Watches Workflows and their pods.

    Args:
        workflows, pods: how the objects of each kind are read and delivered.
        listed: called after a new list. Objects that were deleted since the list before were not announced.
        credentials: for the API server; awaited in the loop that runs the source.
        namespaces: which are watched; all, if there are none.
        selects: which objects are watched.
    """

    def __init__(
        self,
        *,
        workflows: Watched[Any],
        pods: Watched[Any],
        listed: Callable[[], None],
        credentials: Callable[[], Awaitable[Credentials]],
        namespaces: Sequence[str],
        selects: Selects,
    ) -> None:
        self._workflows = workflows
        self._pods = pods
        self._on_list = listed
        self._credentials = credentials
        self._namespaces = namespaces
        self._selects = selects
        self._deliveries: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self._listed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end_of_life: Callable[[], object] | None = None

    def watch(self, namespaces: Sequence[str]) -> None:
        """Watch these namespaces from now on. kopf ends the watches of all namespaces if one of them is forbidden.

        Called in the loop that runs the source. Has no effect if all namespaces are watched.
        """
        if self._namespaces and set(namespaces) != set(self._namespaces):
            self._namespaces = tuple(namespaces)
            if self._end_of_life is not None:
                self._end_of_life()

    async def run(self) -> None:
        """Deliver events until cancelled."""
        self._loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = self._loop.time()
            try:
                await self._one_life()
            except Exception as error:  # noqa: BLE001 kopf ends after many errors, and is needed after each of them
                _log.warning("watching ended and will begin again: %s", error)
            if self._loop.time() - began > _RESTARTS.longest:
                failures = 0
            failures += 1
            self._on_list()
            await asyncio.sleep(_RESTARTS.after(failures))

    async def _one_life(self) -> None:
        """Run kopf in a thread until it ends. Cancelling this stops kopf."""
        ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        told: list[Callable[[], object]] = []
        loop = asyncio.get_running_loop()

        def end(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(error)

        def live() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(self._operate(told))
            except BaseException as raised:  # noqa: BLE001 it is raised again in the loop that waits
                error = raised
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(end, error)

        def tell_all() -> None:
            for tell in told:
                with suppress(RuntimeError):  # its loop is closed
                    tell()

        thread = threading.Thread(target=live, name="kopf", daemon=True)
        thread.start()
        self._end_of_life = tell_all
        try:
            error = await asyncio.shield(ended)
        finally:
            self._end_of_life = None
            tell_all()
            thread.join(0 if ended.done() else _JOIN)
        if error is not None:
            raise error

    async def _operate(self, told: list[Callable[[], object]]) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        # If kopf is stopped in the middle of an operation, it leaves failed tasks behind whose errors it never reads.
        loop.set_exception_handler(lambda _, context: _log.debug("kopf left behind: %s", context["message"]))
        told.append(lambda: loop.call_soon_threadsafe(stop.set))
        connections = WatchConnections(self._listed_anew)
        ends = asyncio.Event()
        operator = asyncio.ensure_future(
            kopf.operator(
                registry=self._registry(connections, ends),
                settings=_settings(self._selects),
                identity=_IDENTITY,  # type: ignore[arg-type]  # a NewType that is not public
                clusterwide=not self._namespaces,
                namespaces=list(self._namespaces),
                stop_flag=stop,
            )
        )
        operator.add_done_callback(lambda _: ends.set())
        try:
            await ends.wait()
            await _end(operator)
        finally:
            await connections.close()

    def _registry(self, connections: WatchConnections, ends: asyncio.Event) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.cleanup(registry=registry)
        async def cleanup(**_: Any) -> None:
            ends.set()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            assert self._loop is not None
            asked = asyncio.run_coroutine_threadsafe(_coroutine(self._credentials), self._loop)
            return connections.open(await asyncio.wrap_future(asked))

        @kopf.on.event("perdure.io", "v1alpha1", "workflows", registry=registry)
        async def workflow(event: kopf.RawEvent, **_: Any) -> None:
            self._hear(self._workflows, event)

        @kopf.on.event("", "v1", "pods", registry=registry)
        async def pod(event: kopf.RawEvent, **_: Any) -> None:
            self._hear(self._pods, event)

        return registry

    def _hear(self, kind: Watched[Any], event: kopf.RawEvent) -> None:
        # Read here, in kopf's thread: parsing large objects would hold up the loop that reconciles.
        seen = kind.read(event["object"])
        self._deliveries.append(partial(kind.deliver, seen, event["type"] == "DELETED"))
        self._schedule_delivery()

    def _listed_anew(self) -> None:
        self._listed = True
        self._schedule_delivery()

    def _schedule_delivery(self) -> None:
        if not self._scheduled:  # else `_deliver` has not begun, and will deliver this, too
            self._scheduled = True
            assert self._loop is not None
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Reset before the first delivery is taken: kopf's thread may append while this runs, after the last one was
        # taken, and must then schedule another call.
        self._scheduled = False
        while self._deliveries:
            self._deliveries.popleft()()
        if self._listed:
            self._listed = False
            self._on_list()


async def _end(operator: asyncio.Future[None]) -> None:
    """Wait until kopf has ended, which it has begun to do; raise its error.

    kopf waits for each of its watches without a limit, and a watch can outlive its cancellation: kopf also cancels what
    pauses the watch, and if that ends first, the watch takes the cancellation for a pause and begins anew. It would
    then wait for credentials that nobody reads any more. So all tasks are cancelled again until none outlives it.
    """
    await asyncio.wait([operator], timeout=_ENDING)
    while not operator.done():
        for task in asyncio.all_tasks():
            # kopf's own task goes on: it holds the error, and ends after the others.
            if task is not operator and task is not asyncio.current_task():
                task.cancel()
        await asyncio.wait([operator], timeout=0.1)
    operator.result()


async def _coroutine(asked: Callable[[], Awaitable[Credentials]]) -> Credentials:
    return await asked()


class _Nothing(kopf.DiffBaseStorage, kopf.ProgressStorage):
    """Stores nothing: only event handlers are registered, and they have neither progress nor a base."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        pass

    def purge(self, **_: Any) -> None:
        pass

    def touch(self, **_: Any) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence


class _Endless:
    """Endless delays in seconds between tries of a request, so that kopf outlives any outage of the API server."""

    def __iter__(self) -> Iterator[float]:
        return map(_TRIES.after, itertools.count(1))


def _settings(selects: Selects) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = None  # it is a thread: kopf must not kill the process
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.label_selectors["v1/pods"] = selects.pods
    settings.watching.label_selectors["perdure.io", "v1alpha1", "workflows"] = selects.workflows
    settings.queueing.idle_timeout = 0.01  # it holds the last event of each object for so long
    settings.queueing.exit_timeout = 0.1
    settings.networking.error_backoffs = _Endless()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.persistence.diffbase_storage = _Nothing()
    settings.persistence.progress_storage = _Nothing()
    settings.persistence.finalizer = "perdure.io/never"
    settings.execution.max_workers = 1
    return settings
