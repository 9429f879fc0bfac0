"""Compares store and cluster periodically, and so finds changes whose events were lost.

Rows are read first, then Workflows and pods. So a run is an orphan if its row existed before the list, and the list
lacks its Workflow; a GET confirms it. Nothing is concluded from an incomplete list. `soon` requests a comparison.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from perdure.errors import PerdureError
from perdure.pauses import Pauses, about

from ..decide.observed import Key
from ..errors import ApiError, NotFound, Refused
from ..kube import PODS, WORKFLOWS, Kube
from ..store.rows import RunListing
from ..store.store import OperatorStore
from ..telemetry.metrics import Metrics
from .cache import Cache, CachedPod, CachedWorkflow, read_pod, read_unsettled_workflow, read_workflow
from .capacity import Capacity
from .instances import Instance

__all__ = ["Resync", "Scope"]

_log = logging.getLogger("perdure.operator.resync")

_SOON = (1.0, 2.0)
"""Seconds from a request to the comparison, so that one comparison serves several requests."""

_SHORTEST = 5.0
"""Fewest seconds between two requested comparisons."""

_UNREADABLE_AGAIN = 60.0
"""Longest time in seconds until a namespace that could not be read is tried again."""

_RETRIES = Pauses(1.0, 30.0, jitter=0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The objects that are compared.

    Attributes:
        namespaces: in which they are; in all, if there are none.
        every: seconds from one comparison to the next, on average.
        retention: how long the rows of a run stay after its Workflow was deleted.
        instance: to which the Workflows belong.
    """

    namespaces: Sequence[str] = ()
    every: float = 450.0
    retention: timedelta = timedelta(days=7)
    instance: Instance = field(default_factory=Instance)

    def holds(self, namespace: str) -> bool:
        """Whether a namespace is watched."""
        return not self.namespaces or namespace in self.namespaces


class Resync:
    """Compares the store, the cluster and the cache.

    `add` adds a Workflow to the work queue; `readable` takes the watched namespaces that can be read.
    """

    def __init__(
        self,
        scope: Scope,
        kube: Kube,
        store: OperatorStore,
        cache: Cache,
        capacity: Capacity,
        metrics: Metrics,
        add: Callable[[Key], None],
        readable: Callable[[Sequence[str]], None],
    ) -> None:
        self._scope = scope
        self._kube = kube
        self._store = store
        self._cache = cache
        self._capacity = capacity
        self._metrics = metrics
        self._add = add
        self._readable = readable
        self._asked = asyncio.Event()
        self._done_at: float | None = None
        self.first = asyncio.Event()
        """Set after the first complete comparison."""
        self.unreadable: dict[str, str] = {}
        """Namespaces that the last comparison could not read, and why."""
        self.problem: str | None = "not everything has been compared yet"
        """Why the last comparison failed; None if it did not."""

    @property
    def age(self) -> float:
        """Seconds since the last complete comparison."""
        return float("inf") if self._done_at is None else time.monotonic() - self._done_at

    def certain(self, namespace: str) -> bool:
        """Whether the cache is complete for a namespace, so that a missing object does not exist."""
        return self._scope.holds(namespace) and namespace not in self.unreadable

    def soon(self) -> None:
        """Request a comparison."""
        self._asked.set()

    async def run(self) -> None:
        """Compare periodically and on request, until cancelled."""
        failures = 0
        while True:
            self._asked.clear()
            if await self._compare_once():
                failures = 0
                every = min(self._scope.every, _UNREADABLE_AGAIN) if self.unreadable else self._scope.every
                await self._asked_within(about(every))
            else:
                failures += 1
                if await self._asked_within(_RETRIES.after(failures)):
                    failures = 0

    async def _asked_within(self, seconds: float) -> bool:
        """Wait for a request, and a little longer for others. False if none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(max(random.uniform(*_SOON), _SHORTEST - self.age))
        return True

    async def _compare_once(self) -> bool:
        began = time.monotonic()
        failed: str | None = None
        try:
            await self._compare()
        except PerdureError as error:
            failed, self.problem = type(error).__name__, str(error)
            _log.warning("not everything could be compared: %s", error)
        else:
            self.problem, self._done_at = None, time.monotonic()
        finally:
            self._metrics.resynced(time.monotonic() - began, failed)
        return failed is None

    async def _compare(self) -> None:
        _, rows = await self._store.active_runs()
        known = self._cache.known()
        self._cache.expect_list()
        workflows, pods = await self._list_all()
        # In namespaces that could not be read, no object counts as deleted.
        changed = self._cache.saw_lists(workflows, pods, self._cache.without(known, self.unreadable))
        listed = {workflow.uid for workflow in workflows}
        if not self.first.is_set():
            # Only once: later each reconcile notes whether its run holds a place, and knows more than older rows.
            held = (row for row in rows if row.held and (row.uid in listed or row.namespace in self.unreadable))
            self._capacity.begin((Key(row.namespace, row.name), row.uid) for row in held)
        # Notifications that were sent while no connection listened are lost, so all unsettled Workflows are reconciled.
        for key in changed.union(self._cache.going_on()):
            self._add(key)
        # From here on the workers run. The checks below need a request for each run and must not delay them.
        self.first.set()
        for row in rows:
            if row.uid not in listed and self.certain(row.namespace):
                await self._orphan(row)
            elif self._cache.settled(row.uid):
                await self._take_up(row)
        _log.info("compared", extra={"workflows": len(workflows), "pods": len(pods), "active_runs": len(rows)})

    async def _list_all(self) -> tuple[list[CachedWorkflow], list[CachedPod]]:
        """All Workflows and pods of the watched namespaces. A forbidden namespace does not affect the others.

        Raises:
            ApiError: the API server does not respond, or forbids all namespaces.
        """
        workflows: list[CachedWorkflow] = []
        pods: list[CachedPod] = []
        refused: dict[str, ApiError] = {}
        ours = self._scope.instance
        for namespace in self._scope.namespaces or (None,):
            try:
                found = (
                    await self._kube.listed(WORKFLOWS, self._cache.read, namespace=namespace, selector=ours.workflows)
                )[0]
                theirs = (await self._kube.listed(PODS, read_pod, namespace=namespace, selector=ours.pods))[0]
            except (NotFound, Refused) as error:
                if namespace is None or len(refused) + 1 == len(self._scope.namespaces):
                    raise
                refused[namespace] = error
            else:
                workflows += found
                pods += [seen for seen in theirs if seen is not None]
        self._note_unreadable(refused)
        return workflows, pods

    def _note_unreadable(self, refused: Mapping[str, ApiError]) -> None:
        for namespace, error in refused.items():
            if namespace not in self.unreadable:
                _log.warning("namespace %s cannot be read, the others go on: %s", namespace, error)
        for namespace in self.unreadable.keys() - refused.keys():
            _log.info("namespace %s can be read again", namespace)
        self.unreadable = {namespace: str(error) for namespace, error in refused.items()}
        self._metrics.unreadable(self.unreadable)
        self._readable([one for one in self._scope.namespaces if one not in self.unreadable])

    async def _orphan(self, row: RunListing) -> None:
        """Cancel a run whose Workflow the list lacks, if a GET confirms that it was deleted."""
        if not await self._gone(row):
            return
        await self._store.cancel_gone(row.uid)
        await self._store.mark_gone([row.uid])
        if row.cancel:
            return  # it was cancelled before
        self._metrics.orphan_cancelled()
        _log.warning(
            "the Workflow of a run was deleted, so the run is cancelled",
            extra={"workflow": f"{row.namespace}/{row.name}", "run": str(row.uid)},
        )

    async def _take_up(self, row: RunListing) -> None:
        """Reconcile a settled Workflow whose run has not ended: the store may have been restored from a backup."""
        try:
            body = await self._scope.instance.workflow(self._kube, row.namespace, row.name)
        except NotFound:
            return
        self._cache.take_up(read_unsettled_workflow(body))
        self._add(Key(row.namespace, row.name))

    async def _gone(self, row: RunListing) -> bool:
        try:
            body = await self._scope.instance.workflow(self._kube, row.namespace, row.name)
        except NotFound:
            return True
        return read_workflow(body).uid != row.uid
