"""The process behind `Proxy`: relays connections to a Postgres server and breaks them where it is told to.

One thread and one loop. Commands come as JSON lines over an inherited socket; when that socket closes, because
whoever holds its other end is gone, the process ends.
"""

from __future__ import annotations

import ctypes
import json
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from .cuts import Moment, Rule
from .link import Flow, Link

_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # a socket filter of one instruction: return 0
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_PR_SET_TIMERSLACK = 29


class Relay:
    """The loop, the faults in force, and the commands that set them."""

    def __init__(self, upstream: str | tuple[str, int], control: socket.socket) -> None:
        self.upstream = upstream
        self.control = control
        self.commands = bytearray()
        self.poller = select.epoll()
        self.handlers: dict[int, tuple[Callable[[], object], Callable[[], object]]] = {}
        self.links: set[Link] = set()
        self.waiting: set[Flow] = set()
        self.one_way = 0.0
        self.stalled = False
        self.rules: list[Rule] = []
        self.budget: dict[str, int] = {}
        self.chance = random.Random(0)
        self.cuts: list[tuple[str, str]] = []
        self.requests = self.connections = 0
        self.sizes: dict[str, list[int]] = {}
        self.listener = bound(0)
        self.port: int = self.listener.getsockname()[1]
        self.listen()
        self.watch(control, self.read_control)

    def watch(self, end: socket.socket, readable: Callable[[], None], writable: Callable[[], object] = int) -> None:
        end.setblocking(False)
        self.handlers[end.fileno()] = (readable, writable)
        self.poller.register(end, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def unwatch(self, end: socket.socket) -> None:
        if self.handlers.pop(end.fileno(), None):
            self.poller.unregister(end)

    def run(self) -> None:
        while True:
            due = None if self.stalled else min((flow.queue[0][0] for flow in self.waiting if flow.queue), default=None)
            # epoll itself counts whole milliseconds, select() counts microseconds.
            select.select([self.poller], [], [], None if due is None else max(0.0, due - time.monotonic()))
            for file, event in self.poller.poll(0):
                readable, writable = self.handlers.get(file, (int, int))
                if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    readable()
                if event & select.EPOLLOUT:
                    writable()
            if not self.stalled:
                now = time.monotonic()
                for flow in list(self.waiting):
                    flow.pump(now)

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                return
            self.relay(client)

    def relay(self, client: socket.socket) -> None:
        self.connections += 1
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = socket.socket(socket.AF_UNIX if isinstance(self.upstream, str) else socket.AF_INET)
        link = Link(self, client, server)
        try:
            server.connect(self.upstream)
        except OSError:  # the server is down
            link.reset()
            return
        self.links.add(link)
        for end, read, flow in (
            (client, link.read_client, link.to_client),
            (server, link.read_server, link.to_server),
        ):
            self.watch(end, read, flow.has_room)

    def verdict(self, statement: str) -> Moment | None:
        for rule in self.rules:
            if moment := rule.verdict(statement):
                return moment
        return None

    def meter(self, direction: str, data: bytes) -> tuple[bytes, bool]:
        """The part of `data` that may still pass in a direction, and whether the connection breaks after it."""
        left = self.budget.get(direction)
        if left is None:
            return data, False
        if len(data) < left:
            self.budget[direction] = left - len(data)
            return data, False
        del self.budget[direction]
        return data[:left], True

    # --- commands; what they mean stands in `Proxy`

    def read_control(self) -> None:
        while True:
            try:
                data = self.control.recv(1 << 16)
            except BlockingIOError:
                break
            if not data:
                sys.exit()  # whoever started us is gone
            self.commands += data
        while b"\n" in self.commands:
            line, _, rest = self.commands.partition(b"\n")
            self.commands = bytearray(rest)
            command: dict[str, Any] = json.loads(line)
            answer = getattr(self, "do_" + command.pop("do"))(**command)
            self.control.setblocking(True)  # an answer may be longer than the socket takes at once
            self.control.sendall(json.dumps(answer).encode() + b"\n")
            self.control.setblocking(False)

    def do_delay(self, round_trip: float) -> None:
        self.one_way = round_trip / 2

    def do_cut(self) -> int:
        links = list(self.links)
        for link in links:
            link.reset()
        return len(links)

    def do_rule(self, moments: list[str], sql: str, nth: int, times: int, rate: float, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rules.append(Rule([Moment(m) for m in moments], sql, nth, times, rate, random.Random(seed)))

    def do_budget(self, direction: str, count: int) -> None:
        self.budget[direction] = count

    def do_stall(self) -> None:
        self.stalled = True

    def do_unplug(self) -> None:
        self.stalled = True  # the filter stops what clients send, this what they are sent
        for end in (self.listener, *(link.client for link in self.links)):
            code = ctypes.create_string_buffer(_DROP_ALL, len(_DROP_ALL))
            program = struct.pack("HL", 1, ctypes.addressof(code))
            end.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def do_refuse(self) -> None:
        self.unwatch(self.listener)
        self.listener.close()
        self.listener = bound(self.port)  # a socket that does not listen keeps the port for us and refuses

    def do_heal(self) -> None:
        self.stalled = False
        self.rules.clear()
        self.budget.clear()
        if self.listener.fileno() not in self.handlers:
            self.listen()
        for end in (self.listener, *(link.client for link in self.links)):
            try:
                end.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
            except FileNotFoundError:  # it has none
                continue

    def do_count(self) -> dict[str, int]:
        return {"port": self.port, "requests": self.requests, "connections": self.connections}

    def note_size(self, statement: str, size: int) -> None:
        """Take in a request: count, bytes in all, and bytes of the largest one of each statement."""
        seen = self.sizes.setdefault(statement, [0, 0, 0])
        seen[:] = seen[0] + 1, seen[1] + size, max(seen[2], size)

    def do_list_sizes(self) -> dict[str, list[int]]:
        return self.sizes

    def do_list_cuts(self) -> list[tuple[str, str]]:
        return self.cuts

    def listen(self) -> None:
        self.listener.listen(256)
        self.watch(self.listener, self.accept)


def bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def main() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)  # nanoseconds; 50 us otherwise
    upstream = json.loads(sys.argv[1])
    control = socket.socket(fileno=int(sys.argv[2]))
    Relay(upstream if isinstance(upstream, str) else tuple(upstream), control).run()


if __name__ == "__main__":
    main()
