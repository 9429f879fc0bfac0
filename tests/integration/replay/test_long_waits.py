"""However long replay waits for something that Perdure cannot see, that is no ground for a verdict: an hour in no time.

The loop's clock is virtual. It goes on by a second whenever nothing else is to be done, and what is outside ends after
an hour of it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio.to_thread
import pytest

import perdure
from perdure import testing
from perdure.engine.branches.attempt import Attempt
from perdure.testing import DurableRun

from .virtual_time import VirtualLoop

HOUR = 3600

gate = threading.Event()
loops: list[_PatientLoop] = []


class _PatientLoop(VirtualLoop):
    """Opens the gate after an hour."""

    def __init__(self) -> None:
        super().__init__()
        loops.append(self)
        self._tick()

    def _tick(self) -> None:
        if self.real_time() < HOUR:
            self.real_later(1.0, self._tick)
        else:
            gate.set()


def _attempt(*args: Any, loop: _PatientLoop, **options: Any) -> Attempt:
    return Attempt(*args, loop=loop, clock=loop.nanoseconds, **options)


@pytest.fixture(autouse=True)
def _virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "RunLoop", _PatientLoop)
    monkeypatch.setattr(testing, "Attempt", _attempt)
    loops.clear()


@perdure.step
async def add(value: int) -> int:
    return value + 1


def wait() -> int:
    assert gate.wait(20)
    return 1


async def bare_future() -> int:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()

    def answer() -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(future.set_result, wait())

    threading.Thread(target=answer).start()
    return await future


async def wrapped_future() -> int:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return await asyncio.wrap_future(executor.submit(wait))


OUTSIDE: dict[str, Callable[[], Awaitable[int]]] = {
    "asyncio's thread": lambda: asyncio.to_thread(wait),
    "anyio's thread": lambda: anyio.to_thread.run_sync(wait),
    "an executor": lambda: asyncio.get_running_loop().run_in_executor(None, wait),
    "a wrapped future": wrapped_future,
    "a bare future": bare_future,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("outside", OUTSIDE)
def test_replay_waits_for_the_outside_for_an_hour(outside: str, caplog: pytest.LogCaptureFixture) -> None:
    @perdure.workflow
    async def waits() -> int:
        side = asyncio.create_task(add(10))
        value = await OUTSIDE[outside]()
        return await add(value) + await side

    run = DurableRun(waits)
    gate.set()
    run.attempt()
    gate.clear()
    with caplog.at_level(logging.WARNING, logger="perdure"):
        assert run.replay().executed == []
    assert loops[-1].real_time() >= HOUR
    [record] = caplog.records
    assert "waits for something that Perdure cannot see" in record.getMessage()
    assert run.result() == 13
