"""The clock by which a process goes on with the clock of a run: it counts the time in which the machine was suspended.

No other clock of a process does: a run on a laptop that slept would fall behind the store.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

__all__ = ["boot_nanoseconds"]

boot_nanoseconds: Callable[[], int]
"""Nanoseconds since the machine started. They never decrease."""

if sys.platform == "linux":
    # Not a function of ours: each outcome reads the clock.
    boot_nanoseconds = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
else:
    boot_nanoseconds = time.monotonic_ns
