"""The embedded database as a store: started, migrated, and kept running while this process uses it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import StoreUnavailable
from ...forks import renew_in_children
from ...owned_thread import OwnedThread
from ..schema.checked_connection import schema_is_current
from .data_folder import Folder
from .embedded import Hold, acquire, data_folder

__all__ = ["LocalStore", "local_database"]

_log = logging.getLogger("perdure")

_LOOK = 2.0
"""Seconds between two looks whether the server still runs."""


class LocalStore:
    """The embedded database of this user; safe to share between threads. It is started by the first `ensure`.

    Attributes:
        url: libpq URL; stays the same when the server is started anew.

    Raises:
        UsageError: the settings of the embedded database make no sense.
    """

    def __init__(self) -> None:
        self.url = Folder(os.path.realpath(data_folder(os.environ))).url
        self._lock = threading.Lock()
        self._hold: Hold | None = None
        self._closed = threading.Event()
        renew_in_children(self)

    def renew(self) -> None:
        """In a forked child, which is no user of the database until it needs it."""
        self._lock = threading.Lock()
        self._hold = None

    def ensure(self, *, migrated: bool = True) -> None:
        """See to it that the server runs, with this release's schema; fast if it does.

        Raises:
            StoreUnavailable: it cannot be started; the message explains what to do.
        """
        with self._lock:
            if self._hold is not None:
                self._hold.ensure()
                return
            hold = acquire()
            try:
                if migrated and not schema_is_current(hold.url):
                    from ..schema.migrate import migrate

                    migrate(hold.url)
            except BaseException:
                hold.release()
                raise
            self._hold = hold

    def watch(self) -> None:
        """Start the server again whenever it is gone, in a thread, until `close`."""
        self._closed = closed = threading.Event()
        OwnedThread(lambda: self._watch(closed), name="perdure-local", died=_unwatched).start()

    def _watch(self, closed: threading.Event) -> None:
        while not closed.wait(_LOOK):
            try:
                self.ensure()
            except StoreUnavailable as error:
                _log.warning("%s", error)

    def close(self) -> None:
        """Give the database back; it stops when it has no other user."""
        self._closed.set()
        with self._lock:
            if self._hold is not None:
                self._hold.release()
                self._hold = None


def _unwatched(error: BaseException) -> None:
    """The server still runs. If it stops, only the next `ensure` starts it again."""
    _log.error("the embedded database is no longer watched: %s", error, exc_info=error)


@contextmanager
def local_database() -> Iterator[str]:
    """The libpq URL of the embedded database, which runs and has Perdure's schema inside the context.

    `perdure run`, `perdure worker` and the other commands use it where no database is named. One user's
    processes share it; for another user it is closed.

    Raises:
        StoreUnavailable: it cannot be started; the message explains what to do.
    """
    store = LocalStore()
    try:
        store.ensure()
        yield store.url
    finally:
        store.close()
