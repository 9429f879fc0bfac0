"""A TCP proxy in front of a Postgres server that delays, cuts, stalls and refuses connections as a test says.

It runs as a process of its own, so that it takes no time from the test's interpreter. Times added are exact to some
tens of microseconds; `round_trip` measures what a query through it really takes.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg

from .cuts import Moment
from .postgres import SUPERUSER, Server

__all__ = ["Moment", "Proxy"]

_ROOT = Path(__file__).parents[len(__package__.split("."))]


class Proxy:
    """A proxy in front of `server`, or of any `upstream`: a Unix socket's path or (host, port)."""

    def __init__(self, server: Server, upstream: Path | tuple[str, int] | None = None) -> None:
        target = upstream or server.socket
        ours, theirs = socket.socketpair()
        environment = {**server.workspace.environment(), "PYTHONPATH": str(_ROOT)}
        argument = json.dumps(str(target) if isinstance(target, Path) else target)
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.relay", argument, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=server.workspace.folder,
            start_new_session=True,
        )
        theirs.close()
        self._control = ours
        self._answers = ours.makefile("rb")
        self._lock = threading.Lock()
        self.port: int = self._counts()["port"]

    def url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """A libpq URL through the proxy."""
        place = f"{quote(role, safe='')}@127.0.0.1:{self.port}/{quote(database, safe='')}"
        return f"postgresql://{place}?sslmode=disable&gssencmode=disable"

    # --- faults

    def delay(self, round_trip: float) -> None:
        """Add so many seconds to each round trip, half of it each way; bytes stay in order. Survives `heal`."""
        self._command("delay", round_trip=round_trip)

    def delay_to(self, round_trip: float) -> float:
        """Choose the delay with which a SELECT 1 takes `round_trip` seconds here and now; what it took at last.

        For benchmarks: waking up adds 0.1 to 0.5 ms to what `delay` was told, depending on the machine.
        """
        delay = 0.0
        self.delay(delay)
        taken = self.round_trip()
        for _ in range(4):
            delay = max(0.0, delay + round_trip - taken)
            self.delay(delay)
            taken = self.round_trip(201)
        return taken

    def cut(self) -> int:
        """Reset all connections now; how many there were."""
        return int(self._command("cut"))

    def cut_at(self, moment: Moment, *, sql: str = "", nth: int = 1, times: int = 1) -> None:
        """Cut at the `nth` request from now on (over all connections) whose SQL contains `sql`, and `times - 1` more.

        A request ends where the client waits for an answer: one simple query, or extended messages up to a Sync.
        """
        self._rule([moment], sql, nth, times, 1.0, 0)

    def cut_randomly(self, rate: float, *, seed: int, moments: Sequence[Moment] = tuple(Moment), sql: str = "") -> None:
        """Cut each request whose SQL contains `sql` with probability `rate`, at one of `moments`, until `heal`."""
        self._rule(moments, sql, 1, -1, rate, seed)

    def cut_after_bytes(self, direction: str, count: int) -> None:
        """Cut once `count` more bytes have passed "to_server" or "to_client", wherever in a message that is."""
        self._command("budget", direction=direction, count=count)

    def stall(self) -> None:
        """Accept connections and bytes, and pass nothing on. What was held passes after `heal`."""
        self._command("stall")

    def unplug(self) -> None:
        """Pull the cable: packets of clients are dropped unacknowledged, also those that would connect.

        Unlike under `stall` the client's kernel notices (tcp_user_timeout). After `heal` it sends them again.
        """
        self._command("unplug")

    def refuse(self) -> None:
        """Refuse new connections; those that are open go on."""
        self._command("refuse")

    def heal(self) -> None:
        """End every fault, on the same port; the delay stays."""
        self._command("heal")

    # --- what it saw

    @property
    def cuts(self) -> Counter[str]:
        """How many requests were cut at which moment ("bytes" for `cut_after_bytes`)."""
        return Counter(moment for moment, _ in self._command("list_cuts"))

    @property
    def cut_statements(self) -> list[str]:
        """The SQL of the requests that were cut, in order."""
        return [statement for _, statement in self._command("list_cuts")]

    @property
    def requests(self) -> int:
        """How many requests it has seen: the round trips, apart from connecting."""
        return self._counts()["requests"]

    @property
    def connections(self) -> int:
        """How many connections it has accepted so far."""
        return self._counts()["connections"]

    def sizes(self, sql: str) -> tuple[int, int, int]:
        """Of the requests so far whose SQL contains `sql`: their number, their bytes, the bytes of the largest one."""
        found = [tuple(seen) for statement, seen in self._command("list_sizes").items() if sql in statement]
        return sum(f[0] for f in found), sum(f[1] for f in found), max((f[2] for f in found), default=0)

    def round_trip(self, samples: int = 51) -> float:
        """The median time of a prepared SELECT 1 through the proxy, in seconds."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            times = []
            for _ in range(samples):
                begun = time.perf_counter()
                connection.execute("SELECT 1", prepare=True)
                times.append(time.perf_counter() - begun)
        return statistics.median(times)

    def close(self) -> None:
        self._answers.close()
        self._control.close()  # this ends the process
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rule(self, moments: Sequence[Moment], sql: str, nth: int, times: int, rate: float, seed: int) -> None:
        self._command("rule", moments=list(moments), sql=sql, nth=nth, times=times, rate=rate, seed=seed)

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = self._command("count")
        return counts

    def _command(self, name: str, **arguments: object) -> Any:
        with self._lock:
            self._control.sendall(json.dumps({"do": name, **arguments}).encode() + b"\n")
            answer = self._answers.readline()
        assert answer, "the proxy's process has ended"
        return json.loads(answer)
