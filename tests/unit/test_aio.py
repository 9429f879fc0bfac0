"""What async workflows await in place of blocking functions."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

import perdure
from perdure import workflow
from perdure.testing import DurableRun


@workflow
async def until() -> list[datetime]:
    began = perdure.now()
    await perdure.aio.sleep_until(began + timedelta(milliseconds=80))
    slept = perdure.now()
    await perdure.aio.sleep_until(began)
    return [began, slept, perdure.now()]


def test_it_sleeps_by_the_clock_of_the_run() -> None:
    began, slept, then = DurableRun(until).result()
    assert slept - began == timedelta(milliseconds=80)
    assert then == slept, "a moment that is past is not waited for"


def test_outside_of_runs_it_sleeps_by_the_clock_of_the_system() -> None:
    when = datetime.now(timezone(timedelta(hours=9))) + timedelta(seconds=0.05)
    began = time.monotonic()
    asyncio.run(perdure.aio.sleep_until(when))
    assert 0.045 <= time.monotonic() - began < 5
    asyncio.run(perdure.aio.sleep_until(datetime.now(UTC) - timedelta(days=1)))


def test_a_moment_has_a_time_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        asyncio.run(perdure.aio.sleep_until(datetime(2026, 1, 1)))  # noqa: DTZ001
