"""A replay compares the arguments of steps with those that were recorded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure import NondeterminismError, run_step, step, workflow
from perdure.testing import DurableRun


@step
def mail(to: str) -> str:
    return f"to {to}"


@step
async def mail_async(to: str) -> str:
    return f"to {to}"


def _killed(workflow: Any, after: int = 1) -> DurableRun:
    run = DurableRun(workflow)
    run.attempt(kill_after=after)
    return run


def test_a_call_inserted_before_a_finished_one_is_no_other() -> None:
    @workflow
    def before() -> list[str]:
        return [mail("ada"), mail("cy")]

    @workflow
    def after() -> list[str]:
        return [mail("boss"), mail("ada"), mail("cy")]

    with pytest.raises(NondeterminismError, match=r"recorded 'mail' next .*other arguments: mail\(to='boss'\)"):
        _killed(before).replay(after)


@pytest.mark.parametrize("is_async", [False, True])
def test_arguments_in_another_order_end_the_run(is_async: bool) -> None:
    names = ["milk", "bread"]
    shop: Any

    if is_async:

        @workflow
        async def in_tasks() -> dict[str, str]:
            return {name: await mail_async(name) for name in names}

        shop = in_tasks
    else:

        @workflow
        def in_order() -> dict[str, str]:
            return {name: mail(name) for name in names}

        shop = in_order

    run = _killed(shop, 2)
    names.reverse()
    with pytest.raises(NondeterminismError, match=r"with which 'mail(_async)?#2' was recorded"):
        run.result()


def test_tasks_in_another_order_end_the_run() -> None:
    names = ["milk", "bread"]

    @workflow
    async def shop() -> list[str]:
        return await asyncio.gather(*[mail_async(name) for name in names])

    run = _killed(shop, 2)
    names.reverse()
    with pytest.raises(NondeterminismError, match="branch '1'"):
        run.result()


def test_a_parameter_with_a_default_may_be_added() -> None:
    @step(name="charge")
    def old(amount: int) -> int:
        return amount

    @step(name="charge")
    def new(amount: int, currency: str = "EUR") -> int:
        return amount

    @workflow
    def before() -> int:
        return old(1) + old(2)

    @workflow
    def after() -> int:
        return new(amount=1) + new(2, "EUR")

    assert _killed(before).replay(after).replayed == ["charge"]


@pytest.mark.parametrize(
    "options", [{"fingerprint": False}, {"fingerprint_exclude": ("session",)}, {"fingerprint_exclude": ["session"]}]
)
def test_arguments_that_are_excluded_may_differ(options: dict[str, Any]) -> None:
    attempts = []

    @step(**options)
    def charge(amount: int, session: list[int]) -> int:
        session.append(amount)
        return amount

    @workflow
    def pay() -> int:
        attempts.append(1)
        return charge(1, [len(attempts)]) + run_step("again", charge, 2, [len(attempts)])

    run = _killed(pay)
    assert run.result() == 3
    assert run.attempts[-1].replayed == ["charge"]


def test_a_record_without_a_fingerprint_compares_equal() -> None:
    @step(name="mail", fingerprint=False)
    def unmarked(to: str) -> str:
        return to

    @workflow
    def before() -> list[str]:
        return [unmarked("ada"), unmarked("cy")]

    @workflow
    def after() -> list[str]:
        return [mail("boss"), mail("cy")]

    assert _killed(before).replay(after).replayed == ["mail"]


def test_an_object_that_is_no_value_counts_by_its_class() -> None:
    class Client:
        def __init__(self) -> None:
            self.calls = 0

        @step
        def get(self, what: str) -> str:
            self.calls += 1
            return what

    class Other(Client):
        pass

    kinds: list[type[Client]] = [Client, Client, Other]

    @workflow
    def fetch() -> str:
        client = kinds.pop(0)()
        return client.get("a") + client.get("b")

    run = _killed(fetch)
    assert run.replay().replayed == ["get"]
    with pytest.raises(NondeterminismError, match=r"get\(self=<Other>, what='a'\)"):
        run.result()


def test_the_arguments_are_not_in_the_record() -> None:
    run = _killed(workflow(lambda_free))
    assert all("secret-of-ada" not in repr(one) for one in run._stored.values())


def lambda_free() -> int:
    return run_step("count", len, "secret-of-ada") + run_step("count", len, "b")
