"""A step's body must not change its arguments, and is told so where the change can be seen; there is no false alarm."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

import perdure
from perdure import Retry, run_step, step, workflow
from perdure.errors import MutationError, StepTimeout
from perdure.testing import DurableRun, kills


class Broke(Exception):
    pass


@dataclass
class Order:
    total: int = 0
    items: list[str] = field(default_factory=list)

    @step
    def add(self, item: str) -> int:
        self.items.append(item)
        return len(self.items)

    @step
    def price(self) -> int:
        return self.total * 2


@step
def answer(messages: list[str]) -> str:
    messages.append("hello")
    return "hello"


@step
def discount(order: Order, percent: int) -> int:
    order.total = order.total * (100 - percent) // 100
    return order.total


@workflow
def chat() -> list[str]:
    messages = ["hi"]
    answer(messages)
    return messages


@workflow
def shop() -> int:
    order = Order(100)
    discount(order=order, percent=5)
    return order.total


@workflow
def fill() -> int:
    return Order().add("tea")


@workflow
def partly() -> list[str]:
    messages = ["hi"]
    run_step("answer", partial(_append, messages), "x")
    return messages


def _append(messages: list[str], text: str) -> None:
    messages.append(text)


@workflow
def built_in() -> list[str]:
    messages = ["hi"]
    run_step("answer", messages.append, "x")
    return messages


@workflow
def built_in_without_signature() -> dict[str, int]:
    prices: dict[str, int] = {}
    run_step("answer", prices.update, {"tea": 300})
    return prices


@dataclass
class Counts:
    calls: int = 0

    def __call__(self) -> int:
        self.calls += 1
        return self.calls


@workflow
def called() -> int:
    return run_step("answer", Counts())


@pytest.mark.parametrize(
    ("flow", "step_name", "argument"),
    [
        (chat, "answer", "messages"),
        (shop, "discount", "order"),
        (fill, "add", "self"),
        (partly, "answer", "messages"),
        (built_in, "answer", "self"),
        (built_in_without_signature, "answer", "self"),
        (called, "answer", "self"),
    ],
)
def test_a_changed_argument_is_an_error_at_the_first_run(flow: Any, step_name: str, argument: str) -> None:
    for run in [DurableRun(flow), *kills(flow)]:
        with pytest.raises(
            MutationError, match=f"step '{step_name}' changed its argument '{argument}' in place.*return"
        ):
            run.result()


def test_the_error_says_what_self_may_be() -> None:
    with pytest.raises(MutationError, match=r"'self' may be a value that its steps do not change.*client"):
        DurableRun(fill).result()


def test_a_method_that_changes_nothing_is_fine() -> None:
    @workflow
    def quote() -> int:
        return Order(4).price()

    assert DurableRun(quote).result() == 8


def test_the_error_is_not_tried_again() -> None:
    tries = []

    @step(retry=Retry(tries=5, delay=0.01))
    def count(seen: list[int]) -> None:
        tries.append(1)
        seen.append(1)

    @workflow
    def flow() -> None:
        count([])

    with pytest.raises(MutationError):
        DurableRun(flow).result()
    assert tries == [1]


def test_a_failed_try_must_not_change_them_either() -> None:
    tries = []

    @step(retry=Retry(tries=5, delay=0.01))
    def pop(stack: list[int]) -> int:
        tries.append(1)
        stack.pop()
        raise Broke("no more")

    @workflow
    def flow() -> int:
        return pop([1, 2])

    with pytest.raises(MutationError) as raised:
        DurableRun(flow).result()
    assert "no more" in str(raised.value.__cause__)
    assert tries == [1]


def test_what_a_body_puts_back_has_not_changed() -> None:
    @step
    def look(stack: list[int]) -> int:
        stack.append(stack.pop())
        return stack[-1]

    @workflow
    def flow() -> int:
        return look([1, 2])

    assert DurableRun(flow).result() == 2


def test_a_timeout_counts_less_than_the_change() -> None:
    @step(timeout=0.05)
    async def slow(seen: list[int]) -> None:
        seen.append(1)
        await asyncio.sleep(30)

    @workflow
    async def flow() -> None:
        await slow([])

    with pytest.raises(MutationError) as raised:
        DurableRun(flow).result()
    assert isinstance(raised.value.__cause__, StepTimeout)


def test_an_async_body_must_not_change_them() -> None:
    @step
    async def collect(into: dict[str, int]) -> None:
        await asyncio.sleep(0)
        into["a"] = 1

    @workflow
    async def flow() -> None:
        async with asyncio.timeout(5):
            await collect({})

    with pytest.raises(MutationError, match="'into'"):
        DurableRun(flow).result()


def test_a_list_that_another_task_fills_is_no_false_alarm() -> None:
    @step
    async def total(numbers: list[int]) -> int:
        await asyncio.sleep(0.05)
        return len(numbers)

    @step
    async def fetch(number: int) -> int:
        return number

    @workflow
    async def flow() -> int:
        numbers: list[int] = []

        async def fill() -> None:
            numbers.append(await fetch(1))

        task = asyncio.create_task(fill())
        first = await total(numbers)
        await task
        return first

    for run in [DurableRun(flow), *kills(flow)]:
        assert run.result() in (0, 1)


def test_a_list_that_a_thread_fills_is_no_false_alarm() -> None:
    @step
    def total(numbers: list[int]) -> int:
        for _ in range(2000):
            if numbers:
                break
            __import__("time").sleep(0.001)
        return len(numbers)

    @workflow
    async def in_tasks() -> int:
        numbers: list[int] = []
        other = asyncio.create_task(perdure.to_thread(numbers.append, 1))
        await asyncio.sleep(0)
        first = total(numbers)
        await other
        return first

    @workflow
    def in_threads() -> int:
        numbers: list[int] = []
        with perdure.ThreadPoolExecutor(2) as pool:
            pool.submit(numbers.append, 1)
            return pool.submit(total, numbers).result()

    @workflow
    async def outside() -> int:
        numbers: list[int] = []
        other = asyncio.get_running_loop().run_in_executor(None, numbers.append, 1)
        first = total(numbers)
        await other
        return first

    for flow in (in_tasks, in_threads, outside):
        assert DurableRun(flow).result() == 1


def test_a_list_that_a_callback_fills_is_no_false_alarm() -> None:
    @step
    async def total(numbers: list[int]) -> int:
        await asyncio.sleep(0.1)
        return len(numbers)

    @workflow
    async def soon() -> int:
        numbers: list[int] = []
        asyncio.get_running_loop().call_soon(numbers.append, 1)
        return await total(numbers)

    @workflow
    async def later() -> int:
        numbers: list[int] = []
        asyncio.get_running_loop().call_later(0.01, numbers.append, 1)
        return await total(numbers)

    for flow in (soon, later):
        assert DurableRun(flow).result() in (0, 1)


def test_a_sync_step_that_holds_the_loop_is_checked_among_tasks() -> None:
    @workflow
    async def flow() -> None:
        other = asyncio.create_task(asyncio.sleep(60))
        try:
            await asyncio.sleep(0)
            answer(["hi"])
        finally:
            other.cancel()

    with pytest.raises(MutationError):
        DurableRun(flow).result()


def test_outside_of_runs_a_step_is_the_plain_function() -> None:
    messages = ["hi"]
    assert answer(messages) == "hello"
    assert messages == ["hi", "hello"]
