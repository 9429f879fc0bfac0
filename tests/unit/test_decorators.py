"""Decorators around marked functions: each one runs in a run, too, or the workflow is refused where it is looked up."""

from __future__ import annotations

import asyncio
import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from perdure import Client, Retry, Worker, run_step, step, workflow
from perdure.definitions import StepDefinition
from perdure.entrypoints import load
from perdure.errors import DefinitionError, EntrypointError, PerdureError
from perdure.testing import DurableRun

AUDITED: list[str] = []


def audited(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def around(*args: object, **kwargs: object) -> object:
        AUDITED.append(function.__name__)
        return function(*args, **kwargs)

    return around


def without_a_trace(function: Callable[..., Any]) -> Any:
    def around(*args: object) -> object:
        return function(*args)

    return around


SOURCE = """
import functools
from perdure import step, workflow
from tests.unit.test_decorators import audited, without_a_trace

@audited
@workflow
def outside() -> int:
    return 1

@without_a_trace
@workflow
def hidden() -> int:
    return 1

@step
@workflow
def both() -> int:
    return 1

def _plain() -> int:
    return 1

renamed = workflow(_plain)

@workflow
@audited
def inside() -> int:
    return 1
"""


@pytest.fixture
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    made = types.ModuleType("decorated_" + str(abs(hash(request.node.name))))
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr("perdure.definitions._registry", {})
    exec(SOURCE, made.__dict__)
    AUDITED.clear()
    return made


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("outside", "put @workflow on top"),
        ("hidden", "put @workflow on top"),
        ("both", "put @workflow on top"),
        ("renamed", "write @workflow above `def _plain`"),
        ("_plain", "write @workflow above `def _plain`"),
    ],
)
def test_a_workflow_that_was_decorated_again_is_refused_where_it_is_looked_up(
    module: Any, name: str, advice: str
) -> None:
    with pytest.raises(EntrypointError, match=advice):
        load(f"{module.__name__}:{name}")


@pytest.mark.parametrize(
    "look_up",
    [
        DurableRun,
        lambda found: Client("postgresql://nowhere").start(found),
        lambda found: Worker("postgresql://nowhere", workflows=[found]),
    ],
)
def test_and_wherever_the_object_is_given(module: types.ModuleType, look_up: Callable[[object], object]) -> None:
    with pytest.raises(PerdureError, match="put @workflow on top"):
        look_up(module.outside)


@pytest.mark.usefixtures("module")
def test_a_worker_looks_at_all_that_it_knows() -> None:
    with pytest.raises(DefinitionError, match="was decorated again"):
        Worker("postgresql://nowhere").start()


def test_a_decorator_below_is_a_part_of_the_workflow(module: Any) -> None:
    assert DurableRun(module.inside).result() == 1
    assert AUDITED == ["inside"]
    assert load(f"{module.__name__}:inside").marked is module.inside


# --- steps


@audited
@step(retry=Retry(tries=2, delay=0.001))
def decorated(number: int) -> int:
    AUDITED.append(f"body {number}")
    if AUDITED.count(f"body {number}") < 2:
        raise ConnectionError
    return number


class Account:
    @step
    def pay(self, amount: int) -> str:
        return f"{self.__class__.__name__} {amount}"

    @audited
    @step
    async def pay_later(self, amount: int) -> str:
        await asyncio.sleep(0)
        return f"later {amount}"


@workflow
def calls_steps() -> list[Any]:
    return [
        decorated(1),
        run_step("two", decorated, 2),
        run_step("three", functools.partial(decorated, 3)),
        run_step("four", Account().pay, 4),
    ]


@workflow
async def calls_async_steps() -> list[Any]:
    account = Account()
    return [await account.pay_later(1), await run_step("two", account.pay_later, 2)]


def test_a_decorator_above_a_step_runs_whichever_way_the_step_is_called() -> None:
    AUDITED.clear()
    run = DurableRun(calls_steps)

    assert run.result() == [1, 2, 3, "Account 4"]
    assert run.attempts[0].executed == ["decorated", "two", "three", "four"]
    # Called, it is workflow code; in run_step it is a part of the step, and of each of its tries.
    noted = " ".join(AUDITED)
    assert noted == "decorated body 1 body 1 decorated body 2 decorated body 2 decorated body 3 decorated body 3"


def test_and_so_it_does_for_async_methods() -> None:
    AUDITED.clear()
    run = DurableRun(calls_async_steps)

    assert run.result() == ["later 1", "later 2"]
    assert run.attempts[0].executed == ["pay_later", "two"]
    assert AUDITED == ["pay_later", "pay_later"]


def test_a_step_of_another_name_has_its_own_policy() -> None:
    assert isinstance(decorated.definition, StepDefinition)
    assert decorated.definition.name == "decorated"
