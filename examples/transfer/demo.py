"""`make demo`: a transfer that loses its process in the worst moment, and ends as if nothing had been.

The outside bank has booked the deposit and has not answered yet when the transfer's processes get SIGKILL, all at
once. The same command, given again, goes on from the last finished step: it asks the outside bank again, with the same
idempotency key. The manifest is the one for a cluster; here a process stands for each pod.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bank  # type: ignore[import-not-found]  # the file beside this one
import psycopg

from perdure.store.embedded import embedded

HERE = Path(__file__).resolve().parent
PERDURE = Path(sys.executable).with_name("perdure")
RUN = "transfer-17"
COMMAND = ["perdure", "run", "examples/transfer/workflow.yaml"]
PATIENCE = 60.0
"""Seconds until something that should happen counts as failed."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="perdure-demo-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ |= {"PERDURE_DATA_DIR": str(folder / "data"), "PERDURE_IDLE_SECONDS": "1"}
        os.environ.pop("PERDURE_DATABASE_URL", None)
        with outside_bank(folder), embedded.database() as url:
            balanced = play(url)
        wait_for(lambda: not any(folder.glob("data/*/**/postmaster.pid")), "the embedded database to stop")
    return 0 if balanced else 1


def play(url: str) -> bool:
    title("A transfer of 100 from alice, who is with us, to bob, who is with another bank")
    bank.ask("POST", "/fault", {"kind": "slow", "times": 1, "seconds": PATIENCE})
    first = start_transfer()
    wait_for(lambda: deposits() or first.poll() is not None, "the outside bank to book the deposit")
    if first.poll() is not None:
        say(bad("the transfer ended by itself"))
        return False
    time.sleep(1)  # for who watches
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    if sys.stdout.isatty():
        print(
            "\033[?25h"
        )  # whoever draws on a terminal and is killed leaves the cursor hidden, in the middle of a line
    say(bad("SIGKILL to the transfer and every process of it, in the middle of a step"))
    say("The outside bank has booked the deposit; its answer found nobody. In the books:")
    show_books(url)

    title("The same command again")
    code = start_transfer().wait(PATIENCE)
    say(good("it ended with exit code 0") if code == 0 else bad(f"it ended with exit code {code}"))

    title("What each attempt did")
    show_attempts()

    title("The books in the end")
    balanced = show_books(url)
    booked = deposits()
    say(f"The outside bank was asked {sum(one['asked'] for one in booked)} times and has {len(booked)} deposit.")
    good_end = code == 0 and balanced and [one["amount"] for one in booked] == [100]
    say(good("The books balance.") if good_end else bad("THE BOOKS DO NOT BALANCE."))
    return good_end


def start_transfer() -> subprocess.Popen[bytes]:
    say(dim("$ " + shlex.join(COMMAND)))
    return subprocess.Popen([PERDURE, *COMMAND[1:]], cwd=HERE.parents[1], start_new_session=True)


def show_attempts() -> None:
    shown = json.loads(subprocess.check_output([PERDURE, "show", RUN, "-o", "json"]))
    attempts = {one["attempt"]: one["ending"] for one in shown["attempts"]}
    say(f"{'':<12}" + "".join(f"{f'attempt {number}: {ending}':<28}" for number, ending in attempts.items()))
    for one in shown["steps"]:
        cells = []
        for number in attempts:
            cut_off = "began, cut off" if one["key"] == "deposit" else "-"
            replayed = "taken from its checkpoint"
            cells.append(cut_off if number < one["attempt"] else "ran" if number == one["attempt"] else replayed)
        say(f"{one['key']:<12}" + "".join(f"{cell:<28}" for cell in cells))


def show_books(url: str) -> bool:
    with psycopg.connect(url) as connection:
        books = bank.audit(connection)
    for name in ("alice", bank.IN_TRANSIT, bank.PAID_OUT):
        say(f"{name:<12}{books.accounts[name]:>6}")
    say(f"{'outside bank':<12}{books.outside:>6}")
    return books.balanced


@contextmanager
def outside_bank(folder: Path) -> Iterator[None]:
    """The outside bank, in a process of its own, as `bank.outside_bank` finds it."""
    command: list[str | Path] = [
        sys.executable,
        HERE / "outside_bank.py",
        "--ledger",
        folder / "outside-bank.sqlite",
        "--with-parent",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        os.environ["OUTSIDE_BANK"] = server.stdout.readline().strip()
        try:
            yield
        finally:
            server.stdin.close()


def deposits() -> list[dict[str, Any]]:
    """What the outside bank has booked."""
    booked: list[dict[str, Any]] = bank.ask("GET", "/deposits")[1]
    return booked


def wait_for(check: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + PATIENCE
    while not check():
        if time.monotonic() > ends:
            sys.exit(f"waited {PATIENCE:g} s in vain for {what}")
        time.sleep(0.02)


def title(text: str) -> None:
    print(f"\n{paint('1', text)}", flush=True)


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def good(text: str) -> str:
    return paint("32", f"✓ {text}")


def bad(text: str) -> str:
    return paint("31", f"✗ {text}")


def dim(text: str) -> str:
    return paint("2", text)


def paint(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


if __name__ == "__main__":
    sys.exit(main())
