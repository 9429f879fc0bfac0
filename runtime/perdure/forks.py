"""A forked child drops its copies of connections and threads; the parent keeps them.

A connection that two processes use is lost for both, and one that a child merely holds keeps its session, with its
locks, on the server after the parent's death. Locks that another thread held stay locked in the child for ever, and no
thread but the forking one is there. So the child's copies are made harmless before any of its code runs, and their
owners begin anew.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

__all__ = ["Renewable", "Socket", "close_in_children", "renew_in_children"]


class Socket(Protocol):
    """A connection of libpq."""

    @property
    def socket(self) -> int: ...


class Renewable(Protocol):
    """Something that a child of a fork can go on with."""

    def renew(self) -> None:
        """Begin anew, in a forked child: without the threads, locks and connections of the parent."""


_sockets: WeakSet[Socket] = WeakSet()
_renewables: WeakSet[Renewable] = WeakSet()


def close_in_children(connection: Socket) -> None:
    """Close this connection's socket in processes that are forked from now on, without a message to the server."""
    _sockets.add(connection)


def renew_in_children(owner: Renewable) -> None:
    """Have this begin anew in processes that are forked from now on."""
    _renewables.add(owner)


def _let_go() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for connection in list(_sockets):
        # Not close: libpq would write its farewell to a file that has the number by then. A closed one has none.
        with suppress(Exception):
            os.dup2(nowhere, connection.socket, inheritable=False)
    _sockets.clear()
    os.close(nowhere)
    for owner in list(_renewables):
        owner.renew()


os.register_at_fork(after_in_child=_let_go)
