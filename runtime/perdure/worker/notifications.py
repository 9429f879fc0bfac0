"""Receives notifications of the store in a thread of its own, for as long as the worker runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from ..errors import StoreError
from ..names import RunId
from ..owned_thread import Died, OwnedThread
from ..pauses import Pauses
from ..store.workers.claims import NotificationConnection

__all__ = ["NotificationListener"]

_log = logging.getLogger("perdure.worker")

_PAUSES = Pauses(0.05, 5.0)
"""Between tries to connect."""


class NotificationListener:
    """Receives notifications of new work and of cancellations.

    Args:
        url: a direct connection to the store.
        owner: the owner of the runs.
        heard: gets the notified runs; None once a connection is made, since notifications before it were lost.
        died: gets the error that ended the thread before its time.
    """

    def __init__(self, url: str, owner: str, heard: Callable[[list[RunId] | None], None], died: Died) -> None:
        self._url = url
        self._owner = owner
        self._heard = heard
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._listener: NotificationConnection | None = None
        self._thread = OwnedThread(self._work, name="perdure-notifications", died=died)

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the connection and the thread."""
        # Under the lock `_work` cannot close the connection meanwhile: its file descriptors may be another file's then.
        with self._lock:
            self._stopped.set()
            if self._listener is not None:
                self._listener.stop()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _work(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                listener = NotificationConnection(self._url, self._owner)
            except (StoreError, OSError) as error:
                failures += 1
                if failures == 1:
                    _log.warning("no notifications of new work for now, polling instead: %s", error)
                self._stopped.wait(_PAUSES.after(failures))
                continue
            failures = 0
            with self._lock:
                self._listener = listener
            try:
                self._listen(listener)
            finally:
                with self._lock:
                    self._listener = None
                listener.close()

    def _listen(self, listener: NotificationConnection) -> None:
        self._heard(None)
        # After a `StoreError` the connection is gone. The next one begins with None again.
        with suppress(StoreError):
            while not self._stopped.is_set():
                if heard := listener.hear():
                    self._heard([RunId(run) for run in heard])
