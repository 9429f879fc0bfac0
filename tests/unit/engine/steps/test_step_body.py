"""A step's body: tried until it succeeds or must not be tried again, in its time; only its final outcome counts."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from perdure import Retry, StepTimeout, step, workflow
from perdure.errors import UsageError, ValueNotStorable
from perdure.testing import DurableRun
from tests.harness.eventually import eventually

QUICKLY = Retry(tries=3, delay=0)
tries: list[str] = []


@pytest.fixture(autouse=True)
def anew() -> None:
    tries.clear()


@step(retry=QUICKLY)
def flaky(fail: int, error: str = "again") -> int:
    tries.append("flaky")
    if len(tries) <= fail:
        raise OSError("away") if error == "again" else UsageError("wrong")
    return len(tries)


@step(retry=QUICKLY)
async def async_flaky(fail: int, error: str = "again") -> int:
    tries.append("flaky")
    await asyncio.sleep(0)
    if len(tries) <= fail:
        raise OSError("away") if error == "again" else UsageError("wrong")
    return len(tries)


@workflow
def calls(fail: int, error: str = "again") -> str:
    try:
        return str(flaky(fail, error))
    except Exception as raised:
        return type(raised).__name__


@workflow
async def async_calls(fail: int, error: str = "again") -> str:
    try:
        return str(await async_flaky(fail, error))
    except Exception as raised:
        return type(raised).__name__


@pytest.mark.parametrize("flow", [calls, async_calls], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("fail", "error", "result", "tried"),
    [
        (0, "again", "1", 1),
        (2, "again", "3", 3),
        (3, "again", "OSError", 3),
        (1, "usage", "UsageError", 1),
    ],
)
def test_it_is_tried_again_until_it_succeeds_or_must_not_be(
    flow: Any, fail: int, error: str, result: str, tried: int
) -> None:
    run = DurableRun(flow, fail, error)
    assert run.result() == result
    assert len(tries) == tried
    assert len(run.checkpoints) == 1
    run.replay()
    assert len(tries) == tried


@step(retry=QUICKLY)
def gives_a_set(where: list[str]) -> Any:
    tries.append("set")
    return object()


@workflow
def stores_what_is_no_value() -> str:
    try:
        gives_a_set([])
    except ValueNotStorable:
        return "refused"
    return "stored"


def test_what_cannot_be_stored_is_not_tried_again() -> None:
    assert DurableRun(stores_what_is_no_value).result() == "refused"
    assert len(tries) == 1


@step(timeout=0.05)
def endless() -> None:
    try:
        while True:
            time.sleep(0.001)
    finally:
        tries.append(threading.current_thread().name)


@step(timeout=0.05)
async def async_endless() -> None:
    try:
        await asyncio.sleep(30)
    finally:
        tries.append("cancelled")


@step(timeout=30)
def own_timeout() -> None:
    raise TimeoutError("its own")


@step(timeout=30)
async def async_own_timeout() -> None:
    raise TimeoutError("its own")


@step(timeout=30)
def in_time() -> int:
    return 3


@workflow
def times_out() -> str:
    try:
        endless()
    except StepTimeout as error:
        return str(error)
    return "never"


@workflow
async def async_times_out() -> str:
    try:
        await async_endless()
    except StepTimeout as error:
        return str(error)
    return "never"


@workflow
async def raises_its_own() -> list[str]:
    found = []
    for call in (own_timeout, async_own_timeout):
        try:
            if (waits := call()) is not None:
                await waits
        except TimeoutError as error:
            found.append(f"{type(error).__name__}: {error}")
    return [*found, str(in_time())]


def test_a_body_that_outlives_its_timeout_is_left_and_its_loop_ends() -> None:
    assert DurableRun(times_out).result() == "step 'endless' ran longer than its timeout of 0.05 s"
    eventually(lambda: tries == ["perdure-step-endless"])


def test_an_async_body_that_does_is_cancelled() -> None:
    assert DurableRun(async_times_out).result() == "step 'async_endless' ran longer than its timeout of 0.05 s"
    assert tries == ["cancelled"]


def test_a_timeout_error_of_the_bodys_own_is_no_timeout_of_the_step() -> None:
    assert DurableRun(raises_its_own).result() == ["TimeoutError: its own", "TimeoutError: its own", "3"]
