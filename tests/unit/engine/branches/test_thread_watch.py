"""Whether a thread waits for a lock: the system tells, and code that runs or sleeps is not taken to wait for one."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from perdure.engine.branches.thread_watch import _waits_for_lock
from tests.harness.eventually import eventually

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="its system calls are unknown")


@contextmanager
def thread(target: Callable[[], object]) -> Iterator[int]:
    """The id of a thread that does something until the context ends, or soon after."""
    one = threading.Thread(target=target, daemon=True)
    one.start()
    assert one.ident is not None
    yield one.ident


def test_one_that_waits_for_a_lock_does() -> None:
    lock = threading.Lock()
    with lock, thread(lock.acquire) as ident:
        eventually(lambda: _waits_for_lock(ident), 10)


def test_one_that_computes_or_reads_does_not() -> None:
    over = threading.Event()
    read, write = os.pipe()

    def compute() -> None:
        while not over.is_set():
            sum(range(1000))

    try:
        with thread(lambda: os.read(read, 1)) as reads:
            eventually(lambda: not _waits_for_lock(reads), 10)
        with thread(compute) as computes:
            # It takes the interpreter's lock now and then, which is a lock, too.
            assert sum(_waits_for_lock(computes) for _ in range(50)) < 50
    finally:
        over.set()
        os.write(write, b".")
        os.close(write)


def test_one_that_has_ended_is_taken_to_wait() -> None:
    one = threading.Thread(target=int)
    one.start()
    one.join()
    assert one.ident is not None
    assert _waits_for_lock(one.ident)
