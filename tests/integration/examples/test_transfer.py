"""The transfer, killed everywhere, with an outside bank that misbehaves: its money is neither lost nor made twice."""

from __future__ import annotations

import json
import sys
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.harness.eventually import eventually

from .conftest import ROOT

FOLDER = ROOT / "examples" / "transfer"
PAID = ["open_books", "withdraw", "deposit", "settle"]
REFUSED = ["open_books", "withdraw", "deposit", "refund"]
ENDED_WELL = {"alice": 900, "carol": 1000, "in transit": 0, "paid out": 100}
AS_BEFORE = {"alice": 1000, "carol": 1000, "in transit": 0, "paid out": 0}


def places(steps):
    return [f"{when}:{key}" for key in steps for when in ("in", "after")]


@dataclass
class OutsideBank:
    address: str

    def ask(self, path, body=None, key=""):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data, {"Idempotency-Key": key})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def fault(self, kind, times, seconds=0.0):
        self.ask("/fault", {"kind": kind, "times": times, "seconds": seconds})

    def booked(self):
        return [(one["account"], one["amount"], one["reference"]) for one in self.ask("/deposits")]

    def asked(self):
        return sum(one["asked"] for one in self.ask("/deposits"))


@pytest.fixture
def outside(children, tmp_path):
    command = [sys.executable, str(FOLDER / "outside_bank.py"), "--ledger", str(tmp_path / "ledger.sqlite")]
    return OutsideBank(children.start(command).wait_for_output("\n").strip())


@pytest.fixture
def transfer(example, outside):
    def make(source="alice", target="bob", amount=100):
        given = {"source": source, "target": target, "amount": amount}
        return example("examples/transfer/bank.py:transfer", given, OUTSIDE_BANK=outside.address)

    return make


@pytest.fixture
def books(database, outside, monkeypatch):
    """The example's own audit."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("OUTSIDE_BANK", outside.address)
    import bank  # type: ignore[import-not-found]

    bank.outside_bank.cache_clear()

    def read():
        with psycopg.connect(database.url) as connection:
            audit = bank.audit(connection)
        assert audit.balanced, audit
        return audit.accounts

    return read


def test_undisturbed(transfer, outside, books):
    run = transfer()
    ended = run.run()
    assert (ended["state"], ended["attempts"]) == ("succeeded", 1)
    assert ended["result"] == {"source": "alice", "target": "bob", "amount": 100, "reference": "OB-0001"}
    assert books() == ENDED_WELL
    assert outside.booked() == [("bob", 100, "OB-0001")]
    assert list(run.attempts()) == PAID


def test_without_an_address_it_runs_an_outside_bank_that_ends_with_it(example, tmp_path):
    given = {"source": "alice", "target": "bob", "amount": 100}
    child = example("examples/transfer/bank.py:transfer", given, HOME=str(tmp_path)).start()
    assert child.wait(45) == 0, child
    assert "OB-0001" in child.output
    assert len(list(tmp_path.glob("**/outside-bank.sqlite"))) == 1
    eventually(lambda: child._left() == [])


def test_the_audit_sees_money_that_came_from_nowhere(transfer, outside, books, database):
    transfer().run()
    database.query("UPDATE accounts SET balance = balance + 1 WHERE name = 'carol'")
    with pytest.raises(AssertionError, match="'carol': 1001"):
        books()
    database.query("UPDATE accounts SET balance = balance - 1 WHERE name = 'carol'")
    assert books() == ENDED_WELL
    outside.ask("/deposits", {"account": "bob", "amount": 1}, key="nobody's")
    with pytest.raises(AssertionError, match="outside=101"):
        books()


def test_transfers_at_the_same_time(transfer, outside, books):
    started = []
    for number, source in enumerate(["alice", "carol", "alice"], start=1):
        run = transfer(source=source, amount=number)
        run.name = f"transfer-{number}"
        started.append(run.start())
    assert [child.wait(45) for child in started] == [0, 0, 0]
    assert books() == {"alice": 996, "carol": 998, "in transit": 0, "paid out": 6}
    assert sorted(amount for _, amount, _ in outside.booked()) == [1, 2, 3]


def test_one_that_finds_another_making_the_books_waits_and_uses_them(transfer, outside, books, database):
    with closing(database.connect()) as first:
        first.autocommit = False
        first.execute("CREATE TABLE accounts (name text PRIMARY KEY, opened_with bigint, balance bigint)")
        child = transfer().start()
        waits = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE TABLE IF NOT%'"
        eventually(lambda: database.query(waits), 45)
        first.commit()
    assert child.wait(45) == 0, child
    assert books() == ENDED_WELL
    assert database.query("SELECT tries FROM perdure.steps WHERE step_key = 'open_books'") == [(2,)]


@pytest.mark.parametrize("place", places(PAID))
def test_killed(place, transfer, outside, books, tmp_path):
    run = transfer()
    run.kill(place, tmp_path)
    if place != "in:open_books":
        books()  # the money is somewhere at every moment
    ended = run.run()
    assert (ended["state"], ended["attempts"]) == ("succeeded", 2)
    assert ended["result"] == {"source": "alice", "target": "bob", "amount": 100, "reference": "OB-0001"}
    assert books() == ENDED_WELL
    assert outside.booked() == [("bob", 100, "OB-0001")]
    assert outside.asked() == (2 if place == "in:deposit" else 1)
    when, _, key = place.partition(":")
    done = PAID.index(key) + (when == "after")
    assert list(run.attempts().items()) == [(step, 1 if number < done else 2) for number, step in enumerate(PAID)]


@pytest.mark.parametrize("place", places(REFUSED)[4:])
def test_killed_on_the_way_back(place, transfer, outside, books, tmp_path):
    run = transfer(target="nobody")
    run.kill(place, tmp_path)
    books()
    ended = run.run()
    assert (ended["state"], ended["attempts"]) == ("failed", 2)
    assert "alice has the money back" in json.dumps(ended["error"])
    assert books() == AS_BEFORE
    assert outside.booked() == []
    assert list(run.attempts()) == REFUSED


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"amount": 1001}, "alice has 1000, which is less than 1001"),
        ({"source": "mallory"}, "no account 'mallory'"),
        ({"amount": -5}, "cannot transfer -5"),
        ({"source": "paid out"}, "cannot transfer"),
    ],
)
def test_declined(given, words, transfer, outside, books):
    ended = transfer(**given).run()
    assert ended["state"] == "failed"
    assert words in json.dumps(ended["error"])
    assert books() == AS_BEFORE
    assert outside.booked() == []


@pytest.mark.parametrize(("kind", "asked"), [("lose", 3), ("fail", 1)])
def test_an_outside_bank_that_fails_twice(kind, asked, transfer, outside, books):
    outside.fault(kind, times=2)
    run = transfer()
    assert run.run()["result"]["reference"] == "OB-0001"
    assert books() == ENDED_WELL
    assert (outside.booked(), outside.asked()) == ([("bob", 100, "OB-0001")], asked)
    assert run.database.query("SELECT tries FROM perdure.steps WHERE step_key = 'deposit'") == [(3,)]


def test_demo(children):
    child = children.start([sys.executable, str(FOLDER / "demo.py")], cwd=Path("/"))
    assert child.wait(50) == 0, child
    assert "The outside bank was asked 2 times and has 1 deposit." in child.output
    assert "The books balance." in child.output
    assert "\033" not in child.output
