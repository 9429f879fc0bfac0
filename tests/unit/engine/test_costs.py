"""What a step and a run in flight cost, in numbers that no other work on the machine changes: calls, bytes, coroutines.

A function that awaits, once more on the way of every step, costs more than it looks: a coroutine, two calls and a frame
that stays for as long as the step runs. `benchmarks/` measures the seconds.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any, cast
from uuid import uuid4

import perdure
from perdure import step, workflow
from perdure.claimed_attempt import ClaimedAttempt
from perdure.engine.branches.attempt import Attempt
from perdure.engine.tasks.loop import RunLoop
from perdure.engine.workflow_call import execute_async
from perdure.errors import Released
from perdure.names import RunId, Token
from perdure.serialization.fingerprint import Fingerprint, keyed_hash
from perdure.store.attempts.checkpoint import Checkpoint, answers_of, batch_parameters
from perdure.store.attempts.idle_connections import IdleConnections
from perdure.testing import DurableRun

HERE = str(Path(perdure.__file__).parent)
RUNS = 50


@step
def doubled(number: int) -> int:
    return 2 * number


@step
async def doubled_async(number: int) -> int:
    return 2 * number


@workflow
def loop(times: int) -> None:
    for number in range(times):
        doubled(number)


@workflow
async def loop_async(times: int) -> None:
    for number in range(times):
        await doubled_async(number)


@step
async def hang() -> None:
    await asyncio.get_running_loop().create_future()


@workflow
async def hanging() -> None:
    await hang()


def calls_of(flow: Callable[..., Any]) -> float:
    """Calls of Python functions of Perdure's for each step; a coroutine that goes on counts once more."""

    def counted(steps: int) -> int:
        count = 0

        def note(frame: FrameType, event: str, _: object) -> None:
            nonlocal count
            if event == "call" and frame.f_code.co_filename.startswith(HERE):
                count += 1

        run = DurableRun(flow, steps)
        sys.setprofile(note)
        try:
            run.result()
        finally:
            sys.setprofile(None)
        return count

    counted(10)
    return (counted(30) - counted(10)) / 20


def test_calls_of_a_sync_step() -> None:
    assert calls_of(loop) <= 38


def test_calls_of_an_async_step() -> None:
    assert calls_of(loop_async) <= 57


def calls_within(what: Callable[[], object]) -> int:
    """Calls of all functions, those in C included."""
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    # What a collection of garbage calls is counted, too, and comes at any time.
    gc.collect()
    gc.disable()
    sys.setprofile(note)
    try:
        what()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def test_calls_for_a_checkpoint_of_a_batch() -> None:
    def checkpoints(number: int) -> list[Checkpoint]:
        given = ("plain", 1, 123_456, 20, "12", None, "0f" * 16)
        return [Checkpoint(b"run", b"token", f"plain#{n}", n, *given) for n in range(number)]

    few, many = checkpoints(2), checkpoints(102)
    # A few for each column, and none for each checkpoint.
    assert calls_within(lambda: batch_parameters(many)) == calls_within(lambda: batch_parameters(few))
    assert calls_within(lambda: answers_of(b"{0,1,2,3}")) == calls_within(lambda: answers_of(b"{0}"))


def test_calls_for_a_fingerprint_of_scalars() -> None:
    fingerprint = Fingerprint(lambda one, two: (one, two))
    keyed = keyed_hash(b"secret")
    for _ in range(2):  # the second one learns where arguments stand
        fingerprint.take((1, "a"), {}, keyed)
    assert calls_within(lambda: fingerprint.take((1, "a"), {}, keyed)) <= 19


def in_flight(look: Callable[[], Any]) -> tuple[Any, Any]:
    """What `look` says before and after so many runs have come to hang in their first step."""
    run_loop = RunLoop()

    attempts: list[Attempt] = []
    idle = IdleConnections()

    def start() -> asyncio.Task[Any]:
        definition = hanging.definition  # type: ignore[attr-defined]
        claimed = ClaimedAttempt(
            run_id=RunId(uuid4()),
            id="run",
            token=Token(uuid4()),
            number=1,
            entrypoint=definition.entrypoint,
            input="{}",
            seed=uuid4(),
        )
        stores_nothing = cast("Any", None)
        attempts.append(Attempt(claimed, [], stores_nothing, loop=run_loop, connections=idle))
        return run_loop.create_task(execute_async(definition, attempts[-1]))

    async def main() -> tuple[Any, Any]:
        tasks = [start()]
        await asyncio.sleep(0.01)
        before = look()
        tasks += [start() for _ in range(RUNS)]
        await asyncio.sleep(0.05)
        after = look()
        for attempt in attempts:
            attempt.interrupt(Released("the test is over"))
        await asyncio.gather(*tasks)
        return before, after

    try:
        return run_loop.run_until_complete(main())
    finally:
        run_loop.close()


def test_bytes_of_a_run_in_flight() -> None:
    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before, after = in_flight(held)
    finally:
        tracemalloc.stop()
    assert (after - before) / RUNS <= 10_500


def test_coroutines_of_a_run_in_flight() -> None:
    def alive() -> int:
        gc.collect()
        return sum(isinstance(one, Coroutine) for one in gc.get_objects())

    before, after = in_flight(alive)
    # Of the attempt, the workflow and its wrapper, and of the step: its wrapper, the call, the tries and the body.
    assert (after - before) / RUNS == 7
