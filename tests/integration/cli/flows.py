"""Workflows that the command line runs in tests. They work in the current folder: `log` says what ran."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from perdure import Retry, step, step_context, workflow

print("imported")


def log(line: str) -> None:
    file = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


@step
def count(n: int) -> int:
    print(f"counting {n}")
    log(f"count {n}")
    return n


@step
def hold() -> int:
    log(f"hold {step_context().attempt}")
    attempt = step_context().branch.attempt
    # With a file `drain` it waits until the attempt knows that it is to stop, however slow the machine is.
    while not Path("go").exists() or (Path("drain").exists() and attempt._draining is None):
        time.sleep(0.01)
    return step_context().attempt


@step
def die_until(attempt: int) -> None:
    log(f"die {step_context().attempt}")
    if step_context().attempt < attempt:
        os.kill(os.getpid(), signal.SIGKILL)


@step(retry=Retry(tries=3, delay=0.01))
def flaky() -> int:
    if step_context().tries < 3:
        raise ConnectionError("not now")
    return step_context().tries


@workflow
def counting(n: int = 3, label: str = "") -> dict[str, object]:
    return {"label": label, "sum": sum(count(i) for i in range(n))}


@workflow
def held() -> list[int]:
    return [count(1), hold(), count(2)]


@workflow
def crashing(until: int = 2) -> int:
    count(1)
    die_until(until)
    return 1


@workflow
def failing() -> None:
    count(1)
    raise LookupError("nothing there")


@workflow
def trying() -> int:
    return flaky()


def plain() -> None: ...


@step
def page(number: int) -> str:
    return os.urandom(40_000).hex()  # which no compression makes smaller


@workflow
def many_pages(pages: int = 20) -> int:
    for number in range(pages):
        page(number)
    hold()
    return len(page(pages))
