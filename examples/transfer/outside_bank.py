"""Another bank, as the world outside of Perdure is: its own process, its own books, an HTTP interface.

It honours idempotency keys: what it has booked under a key it does not book again, but gives the stored answer.
And it can be told to misbehave, as the world does.

    POST /deposits   {"account", "amount"}, header Idempotency-Key   -> {"reference"}; 422: refused for good
    GET  /deposits                                                   -> [{"key", "account", "amount", "reference", ...}]
    POST /fault      {"kind", "times", "seconds"}                    -> what goes wrong next, see `Fault`
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast


@dataclass
class Fault:
    """What goes wrong with the next `times` deposits.

    "fail" answers 503 and books nothing; "slow" books, and answers `seconds` later; "lose" books, and hangs up
    without an answer.
    """

    kind: str = "none"
    times: int = 0
    seconds: float = 0.0


@dataclass
class Deposit:
    """One entry of the ledger. `asked` counts the requests for it."""

    key: str
    account: str
    amount: int
    reference: str
    asked: int = 1


class Ledger:
    """The bank's books, in a file that outlives its process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS deposits (key PRIMARY KEY, account, amount, reference, asked)"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def book(self, key: str, account: str, amount: int) -> Deposit:
        """Book a deposit, once per key, and return what is booked under that key."""
        with self._transaction() as connection:
            (number,) = connection.execute("SELECT count(*) + 1 FROM deposits").fetchone()
            connection.execute(
                "INSERT INTO deposits VALUES (?, ?, ?, ?, 1) ON CONFLICT (key) DO UPDATE SET asked = asked + 1",
                (key, account, amount, f"OB-{number:04}"),
            )
            row = connection.execute("SELECT * FROM deposits WHERE key = ?", (key,)).fetchone()
        return Deposit(*row)

    def deposits(self) -> list[Deposit]:
        """Everything that is booked."""
        with self._transaction() as connection:
            return [Deposit(*row) for row in connection.execute("SELECT * FROM deposits ORDER BY reference")]


class OutsideBank(ThreadingHTTPServer):
    """The server."""

    daemon_threads = True

    def __init__(self, port: int, ledger: Ledger) -> None:
        super().__init__(("127.0.0.1", port), Request)
        self.ledger = ledger
        self.fault = Fault()
        self.lock = threading.Lock()

    def next_fault(self) -> Fault:
        """What is to go wrong with the deposit that comes in now."""
        with self.lock:
            if self.fault.times <= 0:
                return Fault()
            self.fault.times -= 1
            return self.fault


class Request(BaseHTTPRequestHandler):
    """One request to it."""

    @property
    def bank(self) -> OutsideBank:
        """The server that got the request."""
        return cast("OutsideBank", self.server)

    def do_GET(self) -> None:
        """Show the ledger."""
        self.reply(200, [asdict(one) for one in self.bank.ledger.deposits()])

    def do_POST(self) -> None:
        """Take a deposit, or a fault."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/fault":
            self.bank.fault = Fault(**body)
            self.reply(200, body)
        else:
            self.deposit(self.headers["Idempotency-Key"] or "", **body)

    def deposit(self, key: str, account: str, amount: int) -> None:
        """Book a deposit and answer, unless a fault has it otherwise."""
        fault = self.bank.next_fault()
        if not key:
            return self.reply(400, {"error": "send an Idempotency-Key"})
        if fault.kind == "fail":
            return self.reply(503, {"error": "come back later"})
        if account == "nobody":
            return self.reply(422, {"error": f"the outside bank has no account {account!r}"})
        booked = self.bank.ledger.book(key, account, amount)
        if (booked.account, booked.amount) != (account, amount):
            return self.reply(409, {"error": "this Idempotency-Key belongs to another deposit"})
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault.kind == "lose":
            self.close_connection = True
            return None
        return self.reply(200, {"reference": booked.reference})

    def reply(self, status: int, body: object) -> None:
        """Answer with JSON."""
        text = json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except ConnectionError:
            self.close_connection = True  # who asked is gone, and may ask again

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A bank that takes deposits over HTTP. Prints its address.")
    parser.add_argument("--ledger", type=Path, required=True, help="the file that holds its books")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    options.ledger.parent.mkdir(parents=True, exist_ok=True)
    bank = OutsideBank(options.port, Ledger(options.ledger))
    print(f"127.0.0.1:{bank.server_port}", flush=True)
    if options.with_parent:
        threading.Thread(target=bank.serve_forever, daemon=True).start()
        sys.stdin.read()
    else:
        bank.serve_forever()


if __name__ == "__main__":
    main()
