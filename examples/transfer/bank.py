"""A money transfer that is neither lost nor made twice, whatever dies on the way.

    perdure run examples/transfer/bank.py:transfer --id transfer-17 \
        --input '{"source": "alice", "target": "bob", "amount": 100}'

Alice has her account with us, in the same Postgres as the checkpoints: steps that book there are database steps,
which commit together with their checkpoint, exactly once. Their table is in the schema of the login, or in `public`
where it has none. Bob has his with another bank, over HTTP: that step may run again after a crash, so it sends an
idempotency key, which stays the same however often it runs. Between the two the money stands on an account of its own,
so that our books add up at every moment.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from perdure import Retry, step, step_context, workflow

IN_TRANSIT = "in transit"
PAID_OUT = "paid out"


@dataclass
class Receipt:
    """What the sender gets; `reference` is the outside bank's."""

    source: str
    target: str
    amount: int
    reference: str


class Declined(Exception):
    """The transfer is not made; the money is where it was."""


class Refused(Exception):
    """The outside bank does not take the money, now or later."""


@workflow
def transfer(source: str, target: str, amount: int) -> Receipt:
    open_books()
    withdraw(source, amount)
    try:
        reference = deposit(target, amount)
    except Refused as refusal:
        refund(source, amount)
        raise Declined(f"{refusal}; {source} has the money back") from refusal
    settle(amount)
    return Receipt(source, target, amount, reference)


# Our books. Each step is one transaction, and its checkpoint is a part of that.


# Two transfers may come first: the one that Postgres refuses then finds the table when it tries again.
@step(database=True, retry=Retry(tries=5, delay=0.1, on=psycopg.Error))
def open_books() -> None:
    """Make the accounts where there are none yet; a real bank has them."""
    connection = step_context().connection
    connection.execute(
        "CREATE TABLE IF NOT EXISTS accounts"
        " (name text PRIMARY KEY, opened_with bigint, balance bigint CHECK (balance >= 0))"
    )
    connection.execute(
        "INSERT INTO accounts VALUES ('alice', 1000, 1000), ('carol', 1000, 1000), (%s, 0, 0), (%s, 0, 0)"
        " ON CONFLICT DO NOTHING",
        (IN_TRANSIT, PAID_OUT),
    )


@step(database=True)
def withdraw(source: str, amount: int) -> None:
    """Take the money from its owner's account."""
    if amount <= 0 or source in (IN_TRANSIT, PAID_OUT):
        raise Declined(f"cannot transfer {amount} from {source!r}")
    row = (
        step_context()
        .connection.execute("SELECT balance FROM accounts WHERE name = %s FOR UPDATE", (source,))
        .fetchone()
    )
    if row is None or row[0] < amount:
        raise Declined(f"{source} has {row[0]}, which is less than {amount}" if row else f"no account {source!r}")
    move(source, IN_TRANSIT, amount)


@step(database=True)
def refund(source: str, amount: int) -> None:
    """Undo `withdraw`."""
    move(IN_TRANSIT, source, amount)


@step(database=True)
def settle(amount: int) -> None:
    """Note that the outside bank has the money."""
    move(IN_TRANSIT, PAID_OUT, amount)


def move(source: str, target: str, amount: int) -> None:
    # In the order of the names, so that two transfers never wait for each other.
    for name, change in sorted([(source, -amount), (target, amount)]):
        step_context().connection.execute("UPDATE accounts SET balance = balance + %s WHERE name = %s", (change, name))


# The outside bank. After a crash, a lost answer or a timeout nobody knows whether it booked the deposit. So the step
# asks again, with the same key. Only a clear refusal is refunded; if the bank never answers, the transfer fails
# with the money in transit, for a person to decide.


@step(retry=Retry(tries=8, delay=0.2, max_delay=30, on=(OSError, http.client.HTTPException)), timeout=30)
def deposit(account: str, amount: int) -> str:
    """Pay into an account of the outside bank, and return its reference."""
    key = {"Idempotency-Key": step_context().idempotency_key}
    status, answer = ask("POST", "/deposits", {"account": account, "amount": amount}, key)
    if status == 422:
        raise Refused(answer["error"])
    if status != 200:
        raise ConnectionError(f"the outside bank answers {status}: {answer['error']}")
    return str(answer["reference"])


def ask(method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """One request to the outside bank: the status and the body of its answer."""
    connection = http.client.HTTPConnection(outside_bank(), timeout=10)
    try:
        connection.request(method, path, json.dumps(body), headers or {})
        answer = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()


@functools.cache
def outside_bank() -> str:
    """Its address. Where none is given we run one ourselves, which ends with this process."""
    if address := os.environ.get("OUTSIDE_BANK"):
        return address
    program = Path(__file__).with_name("outside_bank.py")
    ledger = Path.home() / ".cache" / "perdure-examples" / "outside-bank.sqlite"
    server = subprocess.Popen(
        [sys.executable, program, "--ledger", ledger, "--with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    return server.stdout.readline().decode().strip()


@dataclass
class Audit:
    """Both banks' books."""

    accounts: dict[str, int]
    opened_with: int
    outside: int

    @property
    def balanced(self) -> bool:
        """Ours add up to what they were opened with, and the outside bank has what we paid out and no more.

        Of what is in transit it may have some already. To be asked while no transfer begins or ends.
        """
        paid, moving = self.accounts[PAID_OUT], self.accounts[IN_TRANSIT]
        return sum(self.accounts.values()) == self.opened_with and paid <= self.outside <= paid + moving


def audit(connection: Any) -> Audit:
    """Read both banks' books, ours over a psycopg connection."""
    rows = connection.execute("SELECT name, opened_with, balance FROM accounts ORDER BY name").fetchall()
    outside = sum(deposit["amount"] for deposit in ask("GET", "/deposits")[1])
    return Audit({name: balance for name, _, balance in rows}, sum(opened for _, opened, _ in rows), outside)
