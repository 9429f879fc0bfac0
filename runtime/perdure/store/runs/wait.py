"""Waiting for runs to end: one connection and one thread for all that a client waits for.

The thread listens for endings and also polls, slowly, because a notification can be lost with a connection. A store
that is away is waited for. The thread ends when nothing has been waited for for a while.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ...errors import PerdureError, RunNotFound
from ...forks import renew_in_children
from ...owned_thread import OwnedThread
from ..postgres.connection import Fault, classify, translated
from ..postgres.portions import MOST_TEXT
from ..postgres.statements import statement
from ..schema.checked_connection import open_checked
from .model import Ending, RunState

__all__ = ["RunWaiter"]

_POLLS = (1.0, 5.0)
"""Seconds between questions: for a run that has been waited for for less than 10 s, and after."""

_YOUNG = 10.0
_LINGER = 5.0
"""Seconds for which connection and thread outlive the last wait."""

_LONGEST_PAUSE = 1.0


@dataclass(slots=True)
class _Wait:
    run: UUID
    owner: str
    future: Future[Ending]
    since: float = field(default_factory=time.monotonic)
    asked: float = 0.0
    heard: bool = True
    """Whether its ending was notified, or it was never polled."""

    def due(self, now: float) -> float:
        """When to poll it."""
        if self.heard:
            return now
        return self.asked + _POLLS[now - self.since > _YOUNG]


class RunWaiter:
    """Futures of runs' endings; safe to share between threads."""

    def __init__(self, url: str, *, ensure: Callable[[], None] | None = None) -> None:
        self._url = url
        self._ensure = ensure
        self._begin()
        renew_in_children(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._waits: list[_Wait] = []
        self._thread: OwnedThread | None = None
        self._closed = False
        self._wake = -1

    def renew(self) -> None:
        """In a forked child, which has neither the thread nor a caller that waits for it."""
        self._begin()

    def watch(self, run: UUID, owner: str) -> Future[Ending]:
        """A future of how a run ends; cancel it to stop waiting.

        It fails with `RunNotFound` when the run is gone, and with `SchemaMismatch` where client and schema do not work
        together.
        """
        wait = _Wait(run, owner, Future())
        with self._lock:
            self._closed = False
            self._waits.append(wait)
            if self._thread is None:
                self._thread = OwnedThread(self._work, name="perdure-endings", died=self._died).start()
            self._nudge()
        return wait.future

    def close(self) -> None:
        """Give up all waits, and end the connection."""
        with self._lock:
            self._closed = True
            thread = self._thread
            for wait in self._waits:
                wait.future.cancel()
            self._nudge()
        if thread is not None and not thread.is_here():
            thread.join()

    def _nudge(self) -> None:
        if self._wake >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake, b"x")

    def _work(self) -> None:
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        with self._lock:
            self._wake = wake
        try:
            _Listener(self, self._url, self._ensure, woken).run()
        finally:
            # Under the lock: a closed pipe gets no more bytes, since its number may be another file's by then.
            with self._lock:
                self._wake = -1 if self._wake == wake else self._wake
            os.close(woken)
            os.close(wake)

    def _died(self, error: BaseException) -> None:
        """All waits fail with the error; the next wait starts another thread."""
        with self._lock:
            self._thread = None
            for wait in self._waits:
                with contextlib.suppress(InvalidStateError):
                    wait.future.set_exception(error)

    def waits(self) -> list[_Wait]:
        """All waits of now."""
        with self._lock:
            self._waits = [wait for wait in self._waits if not wait.future.done()]
            return list(self._waits)

    def retire(self, idle_since: float) -> bool:
        """Whether the thread may end: nothing to wait for, for long enough or because it is closed."""
        with self._lock:
            waiting = any(not wait.future.done() for wait in self._waits)
            if waiting or not (self._closed or time.monotonic() - idle_since >= _LINGER):
                return False
            self._thread, self._wake = None, -1
            return True


class _Listener:
    """The thread's part: its connection, and the channels that it listens to."""

    def __init__(self, watch: RunWaiter, url: str, ensure: Callable[[], None] | None, woken: int) -> None:
        self._watch = watch
        self._url = url
        self._ensure = ensure
        self._woken = woken
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._owners: set[str] = set()
        self._idle_since = time.monotonic()
        self._pause = 0.05

    def run(self) -> None:
        """Until nothing is waited for any more."""
        try:
            while not self._watch.retire(self._idle_since):
                waits = self._watch.waits()
                if waits:
                    self._idle_since = time.monotonic()
                self._turn(waits)
        finally:
            self._disconnect()

    def _turn(self, waits: list[_Wait]) -> None:
        try:
            if waits:
                self._ask(waits)
            still = [wait for wait in waits if not wait.future.done()]
            # Before the sleep: a notification that came in with an answer does not make the socket readable again.
            self._hear(still)
            self._pause = 0.05
            now = time.monotonic()
            self._sleep(min([wait.due(now) - now for wait in still], default=_LINGER))
        except PerdureError as error:
            self._fail(waits, error)
        except psycopg.Error as error:
            self._disconnect()
            if classify(error.sqlstate) in (Fault.UNUSABLE, Fault.REFUSED):
                self._fail(waits, translated(error, "wait for the run"))
                return
            # Any ending may have been missed while there was no connection.
            for wait in waits:
                wait.heard = True
            self._sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _ask(self, waits: list[_Wait]) -> None:
        if self._connection is None:
            if self._ensure is not None:
                self._ensure()
            self._connection = open_checked(self._url)
        connection = self._connection
        # Listen first, then poll: a run that ends between the two is notified.
        for owner in {wait.owner for wait in waits} - self._owners:
            [(channel,)] = connection.execute(statement("done_channel"), {"owner": owner}).fetchall()
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(str(channel))))
            self._owners.add(owner)
        now = time.monotonic()
        due = [wait for wait in waits if wait.due(now) <= now]
        if not due:
            return
        with connection.cursor(row_factory=dict_row) as cursor:
            asked = {"runs": list({wait.run for wait in due}), "bytes": MOST_TEXT}
            rows = cursor.execute(statement("run_endings"), asked).fetchall()
        stand = {row["id"]: row for row in rows}
        for wait in due:
            row = stand.get(wait.run)
            # A run that did not fit in this answer comes with the next one, at once.
            wait.asked, wait.heard = now, row is not None and row["cut"]
            if not wait.heard:
                self._settle(wait, row)

    def _settle(self, wait: _Wait, row: dict[str, Any] | None) -> None:
        # The caller may cancel the future at any moment.
        with contextlib.suppress(InvalidStateError):
            if row is None:
                wait.future.set_exception(RunNotFound(f"run {wait.run} is gone: it was deleted"))
            elif RunState(row["state"]).ended:
                wait.future.set_result(Ending(RunState(row["state"]), row["result"], row["error"]))

    def _fail(self, waits: list[_Wait], error: PerdureError) -> None:
        for wait in waits:
            with contextlib.suppress(InvalidStateError):
                wait.future.set_exception(error)

    def _hear(self, waits: list[_Wait]) -> None:
        if self._connection is None:
            return
        ended = {note.payload for note in self._connection.notifies(timeout=0)}
        for wait in waits:
            wait.heard = wait.heard or str(wait.run) in ended

    def _sleep(self, seconds: float) -> None:
        """Sleep until a notification, a new wait, or the end of the time."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            if self._connection is not None:
                selector.register(self._connection.fileno(), selectors.EVENT_READ)
            selector.select(max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._owners.clear()
