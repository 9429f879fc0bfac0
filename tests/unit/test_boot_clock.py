"""The clock by which a process goes on with a run's clock."""

from __future__ import annotations

import sys
import time

import pytest

from perdure.boot_clock import boot_nanoseconds


def test_it_never_goes_back() -> None:
    readings = [boot_nanoseconds() for _ in range(1000)]
    assert readings == sorted(readings)


def test_it_counts_in_nanoseconds() -> None:
    began, real = boot_nanoseconds(), time.monotonic()
    while time.monotonic() < real + 0.02:
        pass
    assert 0.02 <= (boot_nanoseconds() - began) / 1e9 < 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_it_counts_a_suspended_machine() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= boot_nanoseconds() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
