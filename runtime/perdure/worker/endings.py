"""Writes how runs ended, many in one statement: all that ended while the last one was under way. In one thread.

Endings wait for a store that is away, up to ten minutes. A run whose row is locked, or whose outcome the store refuses,
holds up no other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from dataclasses import replace

from ..errors import StoreError, StoreUnavailable, ValueNotStorable
from ..failures import Failure
from ..store.checkpoints import Answer
from ..store.opener import Backoff
from ..store.run_endings import RowLocked, RunEnding, RunEndingStore

__all__ = ["EndingWriter", "Settled"]

_log = logging.getLogger("perdure.worker")

Settled = Callable[[Answer | None], None]
"""Learns what the store said; None where it could not be asked. Called in any thread."""

_MOST = 500
PATIENCE = 600.0


class EndingWriter:
    """Writes endings in the order in which they are submitted.

    Args:
        store: where to.
        aside: runs what waits for a lock.
    """

    def __init__(self, store: RunEndingStore, aside: Executor) -> None:
        self._store = store
        self._aside = aside
        self._queue: list[tuple[RunEnding, Settled]] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def submit(self, ending: RunEnding, settled: Settled) -> None:
        """Write an ending; from any thread."""
        with self._changed:
            self._queue.append((ending, settled))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="perdure-worker-endings", daemon=True)
                Context().run(self._thread.start)
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Write what was submitted, in one try if the store is away, and end."""
        self._closing.set()
        with self._changed:
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing.is_set():
                    self._changed.wait()
                batch, self._queue = self._queue[:_MOST], self._queue[_MOST:]
            if not batch:
                break
            self._write(batch)
        self._store.close()

    def _write(self, batch: list[tuple[RunEnding, Settled]]) -> None:
        try:
            answers = self._asked([ending for ending, _ in batch])
        except RowLocked:
            if len(batch) > 1:
                self._singly(batch)
            else:
                self._aside.submit(self._write_aside, *batch[0])
        except StoreUnavailable as error:
            _log.error("%d runs have ended, and the store cannot be told: %s", len(batch), error)
            for _, settled in batch:
                settled(None)
        except StoreError as error:
            if len(batch) > 1:
                self._singly(batch)
            else:
                self._refused(*batch[0], error)
        else:
            for (_, settled), answer in zip(batch, answers, strict=True):
                settled(answer)

    def _singly(self, batch: list[tuple[RunEnding, Settled]]) -> None:
        for one in batch:
            self._write([one])

    def _asked(self, endings: list[RunEnding]) -> list[Answer]:
        backoff = Backoff(PATIENCE)
        while True:
            try:
                return self._store.write(endings)
            except StoreUnavailable:
                delay = backoff.next()
                if delay is None or self._closing.wait(delay):
                    raise

    def _write_aside(self, ending: RunEnding, settled: Settled) -> None:
        answer: Answer | None = None
        try:
            answer = self._store.write_patiently(ending)
        except StoreError as error:
            _log.error("run %s has ended, and the store does not take it: %s", ending.run, error)
        settled(answer)

    def _refused(self, ending: RunEnding, settled: Settled, error: StoreError) -> None:
        if ending.state == "succeeded":
            # What is wrong with the result is the workflow's failure; without a result the store takes it.
            failure = Failure.of(ValueNotStorable(str(error))).to_json()
            self._write([(replace(ending, state="failed", result=None, error=failure), settled)])
            return
        _log.error("run %s has ended, and the store does not take it: %s", ending.run, error)
        settled(None)
