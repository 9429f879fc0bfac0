"""A workflow's function, from its input to the result of the attempt: what it ends with, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest

import perdure
from perdure import errors, step, workflow
from perdure.attempt_results import AttemptResult, Cancelled, Failed, Released, Succeeded, Superseded
from perdure.definitions import definition_of
from perdure.engine.branches.attempt import Attempt
from perdure.engine.order.journal import Recorded
from perdure.engine.tasks.loop import RunLoop
from perdure.engine.workflow_call import execute, execute_async
from perdure.errors import StepCallError
from perdure.store.attempts.idle_connections import IdleConnections
from tests.unit.engine.attempts import StoresAll, first_attempt


def attempted(
    flow: Callable[..., Any],
    *,
    begin: Callable[[Attempt], object] = lambda _: None,
    recorded: Iterable[Recorded] = (),
    text: str = "{}",
) -> AttemptResult:
    """The result of an attempt, to which `begin` is done before it executes."""
    definition = definition_of(flow)
    assert definition is not None
    if not definition.is_async:
        attempt = first_attempt(StoresAll(), recorded=recorded, text=text)
        begin(attempt)
        return execute(definition, attempt)
    loop = RunLoop()
    try:
        attempt = first_attempt(StoresAll(), recorded=recorded, text=text, loop=loop)
        begin(attempt)
        return loop.run_until_complete(execute_async(definition, attempt))
    finally:
        loop.close()


def failure(result: AttemptResult) -> dict[str, Any]:
    assert isinstance(result, Failed)
    found: dict[str, Any] = json.loads(result.error)
    return found


@step
def act() -> int:
    return 1


@workflow
def adds(one: int, other: int = 2) -> int:
    return one + other


@workflow
async def adds_async(one: int, other: int = 2) -> int:
    await asyncio.sleep(0)
    return one + other


@workflow
def breaks() -> None:
    raise LookupError("no such order")


@workflow
async def breaks_async() -> None:
    raise LookupError("no such order")


@workflow
def not_storable() -> Any:
    return object()


@workflow
async def not_storable_async() -> Any:
    return object()


@workflow
def exits() -> None:
    raise SystemExit(3)


@workflow
async def exits_async() -> None:
    raise SystemExit(3)


@workflow
def asks() -> int:
    return act()


@workflow
async def asks_async() -> int:
    return act()


@pytest.mark.parametrize("flow", [adds, adds_async])
def test_the_arguments_are_read_and_the_result_is_written(flow: Any) -> None:
    assert attempted(flow, text='{"one": 40}') == Succeeded("42")


@pytest.mark.parametrize("flow", [adds, adds_async])
@pytest.mark.parametrize("text", ["{}", '{"one": "much"}', '{"one": 1, "two": 2}'])
def test_input_that_does_not_fit_ends_the_run(flow: Any, text: str) -> None:
    assert "InputError" in str(failure(attempted(flow, text=text)))


@pytest.mark.parametrize("flow", [breaks, breaks_async])
def test_an_error_of_the_workflow_ends_the_run(flow: Any) -> None:
    error = str(failure(attempted(flow)))
    assert "LookupError" in error
    assert "no such order" in error


@pytest.mark.parametrize("flow", [exits, exits_async])
def test_a_workflow_that_exits_has_failed_and_ends_no_process(flow: Any) -> None:
    assert "SystemExit" in str(failure(attempted(flow)))


@pytest.mark.parametrize("flow", [not_storable, not_storable_async])
def test_a_result_that_cannot_be_stored_ends_the_run(flow: Any) -> None:
    assert "ValueNotStorable" in str(failure(attempted(flow)))


@pytest.mark.parametrize("flow", [asks, asks_async])
@pytest.mark.parametrize(
    ("signal", "result"),
    [
        (errors.Released("the pod ends"), Released("the pod ends")),
        (errors.Superseded("by attempt 2"), Superseded("by attempt 2")),
        (errors.RunCancelled("by hand"), Cancelled()),
    ],
)
def test_an_attempt_that_was_ended_has_that_result_whatever_its_code_raised(
    flow: Any, signal: errors.ControlSignal, result: AttemptResult
) -> None:
    """The signal may come before the function is called, and before anybody waits for the attempt's end."""
    assert attempted(flow, begin=lambda attempt: attempt.interrupt(signal)) == result


@pytest.mark.parametrize("flow", [adds, adds_async])
def test_a_workflow_that_does_not_repeat_its_recorded_steps_has_no_result(flow: Any) -> None:
    result = attempted(flow, recorded=[Recorded("charge", 1, 1, 1, 100, "1", None)], text='{"one": 1}')
    error = str(failure(result))
    assert "NondeterminismError" in error
    assert "'charge'" in error


@pytest.mark.parametrize("flow", [breaks, breaks_async])
def test_the_error_that_kept_it_from_them_is_the_cause(flow: Any) -> None:
    result = attempted(flow, recorded=[Recorded("charge", 1, 1, 1, 100, "1", None)])
    error = str(failure(result))
    assert "NondeterminismError" in error
    assert "no such order" in error


def test_ctrl_c_that_the_workflow_raises_by_itself_is_its_error() -> None:
    @workflow
    def stops() -> None:
        raise KeyboardInterrupt

    assert "KeyboardInterrupt" in str(failure(attempted(stops)))


def test_a_thread_that_is_left_behind_calls_no_step_after_the_end() -> None:
    begun, go = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []
    said: list[BaseException] = []
    pool = perdure.ThreadPoolExecutor(1)

    def late() -> None:
        threads.append(threading.current_thread())
        begun.set()
        assert go.wait(10)
        try:
            act()
        except errors.RunStopped as stopped:
            said.append(stopped.error)

    @workflow
    def leaves() -> str:
        pool.submit(late)
        assert begun.wait(10)
        return "left"

    assert attempted(leaves) == Succeeded('"left"')
    go.set()
    threads[0].join(10)
    assert [type(one) for one in said] == [StepCallError]
    assert "left behind called a step" in str(said[0])


def test_a_task_that_is_left_behind_unwinds_before_the_attempt_has_its_result() -> None:
    noted: list[str] = []

    async def late() -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
        noted.append("unwound")

    @workflow
    async def leaves() -> str:
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
        return "" if task.done() else "left"

    assert attempted(leaves) == Succeeded('"left"')
    assert noted == ["unwound"]


@pytest.mark.parametrize("shared", [False, True])
def test_its_connections_are_closed_unless_other_attempts_share_them(shared: bool) -> None:
    definition = definition_of(asks)
    assert definition is not None
    attempt = first_attempt(StoresAll(), connections=IdleConnections() if shared else None)
    execute(definition, attempt)
    assert attempt.idle_connections._closed is not shared
    assert attempt.over.is_set()


def test_the_caller_is_in_no_branch_afterwards() -> None:
    assert attempted(asks) == Succeeded("1")
    assert act() == 1, "a plain call"
