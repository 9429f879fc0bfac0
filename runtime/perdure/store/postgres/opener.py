"""Opening connections to one database system, and waiting for it while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...errors import StoreChanged
from ...pauses import Pauses
from .libpq import Wire

__all__ = ["Backoff", "Opener"]

_PAUSES = Pauses(0.02, 1.0)


class Backoff:
    """Pauses between tries while the store is away, as long as there is patience left."""

    def __init__(self, patience: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = None if patience is None else clock() + patience
        self._failures = 0

    def next(self) -> float | None:
        """Seconds to wait before the next try; None when patience is over."""
        if self._until is not None and self._clock() >= self._until:
            return None
        self._failures += 1
        return _PAUSES.after(self._failures)


class Opener:
    """Opens connections to one database system, and to no other that may answer at the same address later."""

    def __init__(self, url: str, *, system: str | None = None, patience: float | None = 600.0) -> None:
        self.url = url
        self.system = system
        self.patience = patience

    def open(self, lock_timeout: int | None = None) -> Wire:
        """A connection.

        Raises:
            WireError: there is none to be had now.
            StoreChanged: another database system answers.
        """
        wire = Wire(self.url)
        try:
            found = wire.system_identifier()
            if self.system is None:
                self.system = found
            elif found != self.system:
                raise StoreChanged(f"database system {found} answers where {self.system} did; this attempt ends")
            if lock_timeout is not None and not wire.pooled:
                wire.set_lock_timeout(lock_timeout)
        except BaseException:
            wire.close()
            raise
        return wire
