"""Deletes the rows of runs whose Workflows were deleted longer ago than the retention.

It begins after the first comparison, and leaves namespaces alone that could not be read. It deletes in batches and
adapts their size to the time that they take: a run with many steps, or a slow store, then costs more batches instead of
a statement that exceeds its time limit and is repeated for ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from perdure.errors import PerdureError, StoreUnavailable
from perdure.pauses import Pauses, about

from ..store.store import OperatorStore
from ..telemetry.metrics import Metrics
from .cache import Cache
from .resync import Resync, Scope

__all__ = ["BatchSize", "Housekeeping"]

_log = logging.getLogger("perdure.operator.housekeeping")

_RETRIES = Pauses(5.0, 300.0, jitter=0.25)


class BatchSize:
    """How much one statement deletes: as much as takes about `aim` seconds.

    Attributes:
        now: rows for the next statement.
    """

    def __init__(self, first: int, most: int, *, aim: float = 0.5) -> None:
        self.now = first
        self._most = most
        self._aim = aim

    def took(self, seconds: float) -> None:
        """Adapt the size to the seconds that the last statement took."""
        if seconds > self._aim:
            self.now = max(1, self.now // 2)
        elif seconds < self._aim / 4:
            self.now = min(self._most, self.now * 2)

    def timed_out(self) -> bool:
        """Shrink after a statement that exceeded its time limit. False if it was as small as can be."""
        smaller, self.now = self.now > 1, max(1, self.now // 8)
        return smaller


class Housekeeping:
    """Sweeps as often as the resync compares."""

    def __init__(self, scope: Scope, store: OperatorStore, cache: Cache, resync: Resync, metrics: Metrics) -> None:
        self._scope = scope
        self._store = store
        self._cache = cache
        self._resync = resync
        self._metrics = metrics
        self._steps = BatchSize(1_000, 50_000)
        self._runs = BatchSize(50, 1_000)

    async def run(self) -> None:
        """Sweep until cancelled."""
        await self._resync.first.wait()
        failures = 0
        while True:
            try:
                await self.sweep()
            except PerdureError as error:
                failures += 1
                self._metrics.swept(type(error).__name__)
                _log.warning("the rows of old runs could not be deleted now: %s", error)
                await asyncio.sleep(_RETRIES.after(failures))
            else:
                failures = 0
                self._metrics.swept(None)
                await asyncio.sleep(about(self._scope.every))

    async def sweep(self) -> None:
        """Mark runs whose Workflows were deleted or restored, and delete rows that are older than the retention.

        Raises:
            StoreUnavailable: no answer in time, for however small a batch.
        """
        if back := await self._store.mark_back(self._cache.known().workflows):
            _log.warning("%s Workflows that were gone are back; their runs stay as they are", back)
        ended = await self._store.ended_runs()
        gone = [row.uid for row in ended if self._resync.certain(row.namespace) and self._cache.key_of(row.uid) is None]
        if gone:
            await self._store.mark_gone(gone)
        retention = self._scope.retention
        # The steps first: a statement that deletes a run's row deletes its remaining steps, too, and must stay small.
        await self._batches(self._steps, lambda size: self._store.delete_gone_steps(retention, size))
        await self._batches(self._runs, lambda size: self._store.delete_gone_runs(retention, size))
        await self._store.sweep_processes()

    async def _batches(self, size: BatchSize, delete: Callable[[int], Awaitable[int]]) -> None:
        while True:
            asked, began = size.now, time.monotonic()
            try:
                deleted = await delete(asked)
            except StoreUnavailable:
                if not size.timed_out():
                    raise
                continue
            took = time.monotonic() - began
            size.took(took)
            if deleted < asked:
                return
            # A pause as long as the statement leaves at least half of the time to the store's other work.
            await asyncio.sleep(took)
