"""One relayed connection to a Postgres server: what passes, in which order, and after which message it breaks.

It reads enough of the wire protocol (without TLS) to know where a request ends, which SQL it carries and where its
answer ends. A message is passed on when it has wholly come, a request when it has.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from .cuts import Moment

if TYPE_CHECKING:
    from .relay import Relay

_NEGOTIATION = (80877103, 80877104)  # SSLRequest and GSSENCRequest: both are answered "N"
_COPY_AND_REST = b"dcfpX"  # copy data, done, fail; password; terminate: never part of what is held back


class Mark(Enum):
    """What stands in a flow between bytes."""

    RESET = 0
    CLOSE = 1


@dataclass(slots=True)
class Exchange:
    """A request of which the answer has not wholly come back."""

    sql: str
    moment: Moment | None
    ends_in_sync: bool


class Flow:
    """One direction of a link: a queue of bytes and marks, each with the time when it is due."""

    def __init__(self, link: Link, sink: socket.socket, direction: str) -> None:
        self.link, self.sink, self.direction = link, sink, direction
        self.queue: deque[tuple[float, bytes | Mark]] = deque()
        self.unsent = memoryview(b"")

    def push(self, item: bytes | Mark) -> None:
        relay = self.link.relay
        cut_here = False
        if isinstance(item, bytes):
            item, cut_here = relay.meter(self.direction, item)
        self.queue.append((time.monotonic() + relay.one_way, item))
        if cut_here:
            self.queue.append((self.queue[-1][0], Mark.RESET))
            self.link.doomed = True
            relay.cuts.append(("bytes", self.direction))
        relay.waiting.add(self)

    def has_room(self) -> None:
        """The sink takes bytes again."""
        if self.unsent:
            self.link.relay.waiting.add(self)

    def pump(self, now: float) -> None:
        """Send what is due. Leaves `waiting` when there is nothing that time alone would bring on."""
        while True:
            if self.unsent:
                try:
                    self.unsent = self.unsent[self.sink.send(self.unsent) :]
                except BlockingIOError:
                    self.link.relay.waiting.discard(self)  # the poller calls when there is room
                    return
                except OSError:
                    self.link.reset()
                    return
            elif not self.queue:
                self.link.relay.waiting.discard(self)
                return
            elif self.queue[0][0] > now:
                return
            else:
                _, item = self.queue.popleft()
                if isinstance(item, Mark):
                    self.link.reset() if item is Mark.RESET else self.link.close()
                    return
                self.unsent = memoryview(item)


class Link:
    """One client's connection and its connection to the server."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self.relay, self.client, self.server = relay, client, server
        self.to_server = Flow(self, server, "to_server")
        self.to_client = Flow(self, client, "to_client")
        self.closed = False
        self.doomed = False  # a cut is under way: nothing that comes now counts
        self.started = False
        self.from_client, self.from_server = bytearray(), bytearray()
        self.held, self.answer = bytearray(), bytearray()
        self.request_sql: list[str] = []
        self.prepared: dict[bytes, str] = {}
        self.pending: deque[Exchange] = deque()
        self.ignored_syncs = 0

    def read_client(self) -> None:
        self._read(self.client, self.from_client, self.to_server, self._client_frames)

    def read_server(self) -> None:
        self._read(self.server, self.from_server, self.to_client, self._server_frames)

    def _read(self, source: socket.socket, buffer: bytearray, flow: Flow, frames: Callable[[], None]) -> None:
        while not self.closed:  # the poller tells of what is new, so read all there is
            try:
                data = source.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError:
                self.reset()
                return
            if not data:
                self.relay.unwatch(source)
                flow.push(Mark.CLOSE)
                return
            if not self.doomed:
                buffer += data
                frames()

    # --- the client's side

    def _client_frames(self) -> None:
        while frame := take(self.from_client, typed=self.started):
            if self.started:
                self._request(frame)
            elif int.from_bytes(frame[4:8]) in _NEGOTIATION:
                self.to_client.push(b"N")
            else:
                self.started = True
                self.pending.append(Exchange("", None, False))
                self.to_server.push(frame)

    def _request(self, frame: bytes) -> None:
        kind = frame[:1]
        if kind in _COPY_AND_REST:
            self._release()
            self.to_server.push(frame)
            return
        self.held += frame
        if kind == b"P":
            name, statement = frame[5:].split(b"\0", 2)[:2]
            self.prepared[name] = statement.decode(errors="replace")
        elif kind == b"B":
            self.request_sql.append(self.prepared.get(frame[5:].split(b"\0", 2)[1], ""))
        elif kind == b"Q":
            self.request_sql.append(frame[5:-1].decode(errors="replace"))
        if kind == b"S" and self.ignored_syncs:
            self.ignored_syncs -= 1
            self._release()
        elif kind in b"SQF":
            self._end_request(kind == b"S")
        elif kind == b"H":
            self._release()

    def _end_request(self, ends_in_sync: bool) -> None:
        statement = "; ".join(self.request_sql)
        self.request_sql.clear()
        moment = self.relay.verdict(statement)
        self.relay.requests += 1
        self.relay.note_size(statement, len(self.held))
        self.pending.append(Exchange(statement, moment, ends_in_sync))
        if moment is not None:
            self.relay.cuts.append((moment, statement))
        if moment is Moment.BEFORE_REQUEST:
            self.held.clear()
        self._release()
        if moment in (Moment.BEFORE_REQUEST, Moment.AFTER_REQUEST):
            self.doomed = True
            self.to_server.push(Mark.RESET)

    def _release(self) -> None:
        if self.held:
            self.to_server.push(bytes(self.held))
            self.held.clear()

    # --- the server's side

    def _server_frames(self) -> None:
        passed = bytearray()
        while not self.doomed and (frame := take(self.from_server, typed=True)):
            exchange = self.pending[0] if self.pending else None
            if exchange is None or exchange.moment is None:
                passed += frame
            else:
                self.answer += frame
            if exchange is None:
                continue
            if frame[:1] == b"G" and exchange.ends_in_sync:
                self.ignored_syncs += 1  # a server that copies in ignores the Sync that ended the request
            elif frame[:1] == b"Z":
                self.pending.popleft()
                if exchange.moment is not None:
                    self.doomed = True
                    if exchange.moment is Moment.WITHIN_ANSWER:
                        passed += self.answer[: self.relay.chance.randrange(1, len(self.answer))]
        if passed:
            self.to_client.push(bytes(passed))
        if self.doomed:
            self.to_client.push(Mark.RESET)

    # --- ends

    def reset(self) -> None:
        """Close so that the client sees a reset."""
        if self.closed:
            return
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close in order."""
        if self.closed:
            return
        self.closed = self.doomed = True
        self.relay.waiting -= {self.to_server, self.to_client}
        self.relay.links.discard(self)
        for end in (self.client, self.server):
            self.relay.unwatch(end)
            end.close()


def take(buffer: bytearray, *, typed: bool) -> bytes:
    """Take the first message off a buffer; nothing if it has not wholly come."""
    head = 1 if typed else 0
    if len(buffer) < head + 4:
        return b""
    size = head + int.from_bytes(buffer[head : head + 4])
    if len(buffer) < size:
        return b""
    message = bytes(buffer[:size])
    del buffer[:size]
    return message
