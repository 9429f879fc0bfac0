"""Opens the connection of a database step, after a wait for one of the slots that its process has."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from ...store.attempts.step_connection import AsyncStepConnection, StepConnection

if TYPE_CHECKING:
    from ...store.attempts.idle_connections import Seat
    from .attempt import Attempt

__all__ = ["Opened", "open_async", "open_sync"]

_LOOK = 0.5
"""Seconds between checks, while a step waits for a slot: whether the attempt ends, or the server ended a connection."""

C = TypeVar("C", StepConnection, AsyncStepConnection)
Opened = tuple["Seat", C, bool, bool]
"""The seat, the connection, whether it was kept, and whether the same attempt had it last."""


def open_sync(attempt: Attempt, *, sealed: bool) -> Opened[StepConnection]:
    """Open a connection for a sync step. A step that waits does not count as under way, unless it is `sealed`.

    Raises:
        WireError: no connection can be made now.
        ControlSignal: the attempt ends.
    """
    connections, user = attempt.idle_connections, (attempt.run_id, attempt.number)
    gate = Lock()
    gate.acquire()
    seat = connections.ask(gate.release)
    try:
        if not seat.granted and not sealed:
            # No transaction is open, so an attempt that drains may end here.
            attempt.leave_step()
        if not seat.granted:
            while not gate.acquire(timeout=_LOOK):
                attempt.check()
                connections.reap()
            if not sealed:
                attempt.enter_step()
        kept = connections.take(StepConnection, user)
        opened = kept[0] if kept is not None else StepConnection.open(attempt.database_url or "")
        seat.connection = opened
    except BaseException:
        connections.leave(seat)
        raise
    return seat, opened, kept is not None, kept is not None and kept[1]


async def open_async(attempt: Attempt, *, sealed: bool = False) -> Opened[AsyncStepConnection]:
    """As `open_sync`, for an async step."""
    connections, user, loop = attempt.idle_connections, (attempt.run_id, attempt.number), attempt.loop
    assert loop is not None
    granted = loop.create_future()
    seat = connections.ask(lambda: loop.call_in_loop(_grant, granted))
    try:
        if not seat.granted:
            await _granted(attempt, granted, sealed=sealed)
        kept = connections.take(AsyncStepConnection, user)
        opened = kept[0] if kept is not None else await AsyncStepConnection.open(attempt.database_url or "")
        seat.connection = opened
    except BaseException:
        connections.leave(seat)
        raise
    return seat, opened, kept is not None, kept is not None and kept[1]


async def _granted(attempt: Attempt, granted: asyncio.Future[None], *, sealed: bool) -> None:
    if not sealed:
        attempt.leave_step()
    try:
        while not granted.done():
            await asyncio.wait({granted}, timeout=_LOOK)
            attempt.check()
            attempt.idle_connections.reap()
        if not sealed:
            await attempt.enter_async_step()
    except asyncio.CancelledError:
        attempt.check()
        if not sealed:
            # The step counts as under way again, until its outcome is stored.
            attempt.enter_step()
        raise


def _grant(granted: asyncio.Future[None]) -> None:
    if not granted.done():
        granted.set_result(None)
