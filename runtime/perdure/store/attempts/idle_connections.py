"""The connections of database steps: how many at a time, and those that are kept from one step to the next.

A step that waits for a slot holds none, so slots come free as steps end. A connection that the server has ended (as it
does with a transaction that stays idle) gives up its slot at once, even if its step goes on. So steps that wait for
each other wait only until one of them has been idle for too long. Light to import: every attempt imports it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from .step_connection import AsyncStepConnection, Connection, StepConnection

__all__ = ["IdleConnections", "Seat"]

C = TypeVar("C", "StepConnection", "AsyncStepConnection")

User = tuple[UUID, int]
"""An attempt: its run, and its number."""

_KEEP = 10.0
"""Seconds for which an idle connection is kept."""


class Seat:
    """A place for a connection; `granted` once there is one."""

    __slots__ = ("connection", "granted", "left", "wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.granted = False
        self.left = False
        self.connection: Connection | None = None


class IdleConnections:
    """The connections of one attempt, or of all attempts of a process.

    Args:
        most: how many at a time, idle ones included. None: as many as there are steps, one of each kind kept between.
        clock: seconds that only ever grow.
    """

    def __init__(self, most: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._idle: deque[tuple[Connection, User, float]] = deque()
        self._seats: set[Seat] = set()
        self._waiting: deque[Seat] = deque()
        self._closed = False

    def ask(self, wake: Callable[[], None]) -> Seat:
        """Request a slot. `wake` is called, in any thread, when the slot is granted later than at once."""
        seat = Seat(wake)
        with self._lock:
            if self._most is None or len(self._seats) < self._most:
                seat.granted = True
                self._seats.add(seat)
            else:
                self._waiting.append(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        """Give up a place, or the wait for it. Does no harm a second time."""
        with self._lock:
            if seat.left:
                return
            seat.left = True
            self._seats.discard(seat)
            if not seat.granted:
                self._waiting.remove(seat)
            granted = self._grant()
        for one in granted:
            one.wake()

    def _grant(self) -> list[Seat]:
        granted = []
        while self._waiting and self._most is not None and len(self._seats) < self._most:
            seat = self._waiting.popleft()
            seat.granted = True
            self._seats.add(seat)
            granted.append(seat)
        return granted

    def take(self, kind: type[C], user: User) -> tuple[C, bool] | None:
        """A connection that was kept, for a place that was granted, and whether `user` had it last.

        Whether it still works shows when it is used. Where there is none, there is room for a new one.
        """
        with self._lock:
            own = [one for one in self._idle if isinstance(one[0], kind)]
            chosen = next((one for one in reversed(own) if one[1] == user), own[-1] if own else None)
            if chosen is not None:
                self._idle.remove(chosen)
            over = [] if chosen is not None else self._over()
        for connection in over:
            connection.end()
        if chosen is None or not isinstance(chosen[0], kind):
            return None
        chosen[0].wake()
        return chosen[0], chosen[1] == user

    def _over(self) -> list[Connection]:
        """Idle ones that have to make room."""
        over = []
        while self._idle and self._most is not None and len(self._idle) + len(self._seats) > self._most:
            over.append(self._idle.popleft()[0])
        return over

    def keep(self, connection: Connection, user: User) -> None:
        """Keep a connection for the next step, or close it where there is one already."""
        connection.rest()
        with self._lock:
            kept = not self._closed and not connection.lost and (self._most is not None or not self._has(connection))
            if kept:
                self._idle.append((connection, user, self._clock()))
        if not kept:
            connection.end()

    def _has(self, connection: Connection) -> bool:
        return any(type(one) is type(connection) for one, _, _ in self._idle)

    def tidy(self) -> None:
        """Close connections that have been idle for long."""
        until = self._clock() - _KEEP
        old = []
        with self._lock:
            while self._idle and self._idle[0][2] <= until:
                old.append(self._idle.popleft()[0])
        for connection in old:
            connection.end()

    def reap(self) -> None:
        """Take back the places of connections that the server has ended."""
        with self._lock:
            dead = [seat for seat in self._seats if seat.connection is not None and seat.connection.hung_up]
        for seat in dead:
            self.leave(seat)

    @property
    def lent(self) -> int:
        """Places that are taken."""
        return len(self._seats)

    def close(self) -> None:
        """Close all kept connections, and each that is given back later."""
        with self._lock:
            self._closed = True
            kept = [one for one, _, _ in self._idle]
            self._idle.clear()
        for connection in kept:
            connection.end()
