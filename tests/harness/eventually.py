"""Waiting for what becomes true by itself. Tests use this in place of a sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], deadline: float = 10.0, every: float = 0.02) -> T:
    """Call `check` every `every` seconds until it returns something true, and return that.

    An AssertionError inside `check` means "not yet"; any other exception is a failure at once.
    Raises AssertionError after `deadline` seconds, from the last one that `check` raised.
    """
    ends = time.monotonic() + deadline
    while True:
        failure: AssertionError | None = None
        seen: T | None = None
        try:
            if seen := check():
                return seen
        except AssertionError as not_yet:
            failure = not_yet
        if time.monotonic() >= ends:
            raise AssertionError(f"not within {deadline:g} s; last: {failure or repr(seen)}") from failure
        time.sleep(every)
