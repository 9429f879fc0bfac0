"""The sockets under TLS connections, so that none of them outlives the loop that serves it.

A TLS transport that is closed waits for its peer's farewell, by then unknown to aiohttp and no longer to be aborted.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.trsock import TransportSocket
from contextlib import suppress


class Ends:
    """Sockets of one loop."""

    def __init__(self) -> None:
        self._ends: set[socket.socket | TransportSocket] = set()

    def add(self, end: socket.socket | TransportSocket) -> None:
        """Remember a socket until it is closed."""
        if end not in self._ends:
            self._ends = {end, *self._open()}

    async def close(self) -> None:
        """End all that is still open and wait until it is closed."""
        while left := self._open():
            for end in left:
                with suppress(OSError):  # not connected any more, or not yet
                    end.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.005)

    def _open(self) -> list[socket.socket | TransportSocket]:
        return [end for end in self._ends if end.fileno() != -1]
