"""A line now and then while something takes long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.harness.cache import Say

EVERY_S = 10.0


@contextmanager
def progress(say: Say, now: Callable[[], str]) -> Iterator[None]:
    """Say what `now` returns, every ten seconds for as long as the block runs."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(EVERY_S):
            say(now())

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
