"""Functions as steps and workflows: what they are called, which are none, and how a definition is found again."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from perdure import step, workflow
from perdure.definitions import (
    MAX_CLEANUP,
    StepDefinition,
    WorkflowDefinition,
    definition_of,
    innermost,
    register,
    registered,
)
from perdure.errors import DefinitionError
from perdure.retry import Retry


def plain(amount: int) -> int:
    return amount


async def asynchronous() -> None: ...


def yields() -> Iterator[int]:
    yield 1


async def yields_async() -> AsyncIterator[int]:
    yield 1


class Fetch:
    async def __call__(self) -> None: ...


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.definitions._registry", {})


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (plain, False),
        (asynchronous, True),
        (functools.partial(functools.partial(plain, 1)), False),
        (functools.partial(asynchronous), True),
        (Fetch(), True),
        (Fetch, False),  # which makes one
    ],
)
def test_a_step_is_async_if_its_call_is(function: Any, is_async: bool) -> None:
    assert StepDefinition(function, "charge").is_async is is_async


@pytest.mark.parametrize(
    ("function", "name", "options", "why"),
    [
        (plain, "", {}, "is empty"),
        (plain, "a/b", {}, "cannot contain '/'"),
        (plain, "perdure.now", {}, "are Perdure's own"),
        (plain, "charge", {"timeout": 0}, "a timeout is a number of seconds above 0"),
        (plain, "charge", {"timeout": -1.0}, "timeout=-1.0"),
        (plain, "charge", {"timeout": float("nan")}, "timeout=nan"),
        (plain, "charge", {"retry": 3}, r"use Retry\(tries=...\)"),
        (yields, "charge", {}, "is a generator"),
        (functools.partial(yields_async), "charge", {}, "is a generator"),
    ],
)
def test_what_is_no_step(function: Any, name: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        StepDefinition(function, name, **options)


def test_a_step_keeps_its_policy() -> None:
    retry = Retry(tries=2)
    made = StepDefinition(plain, "charge", retry=retry, timeout=1.5, database=True)
    assert (made.name, made.retry, made.timeout, made.database) == ("charge", retry, 1.5, True)
    assert StepDefinition(plain, "perdure.now", reserved=True).name == "perdure.now"


def test_a_hint_is_resolved_when_the_step_is_entered() -> None:
    def later() -> Later: ...  # type: ignore[name-defined]  # noqa: F821

    made = StepDefinition(later, "charge")
    assert not made.entered
    with pytest.raises(DefinitionError, match="Later"):
        made.enter()
    assert not made.entered
    ready = StepDefinition(plain, "charge")
    ready.enter()
    assert ready.entered


@pytest.mark.parametrize(
    ("function", "cleanup", "why"),
    [
        (Fetch(), None, "goes on a function, not on a Fetch"),
        (lambda: 1, None, "a lambda cannot be a workflow"),
        (yields, None, "is a generator"),
        (plain, 0, "cleanup=0"),
        (plain, True, "cleanup=True"),
        (plain, "5", "cleanup='5'"),
        (plain, MAX_CLEANUP + 1, "up to 86400"),
        (plain, float("nan"), "cleanup=nan"),
    ],
)
def test_what_is_no_workflow(function: Any, cleanup: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        WorkflowDefinition(function, cleanup=cleanup)


def test_a_workflow_goes_by_its_module_and_name() -> None:
    def local() -> None: ...

    made = WorkflowDefinition(plain, cleanup=5)
    assert (made.entrypoint, made.is_async, made.cleanup, made.findable) == (f"{__name__}:plain", False, 5.0, True)
    assert WorkflowDefinition(asynchronous).is_async
    assert not WorkflowDefinition(local).findable


def test_a_definition_is_found_by_its_function_and_by_its_entrypoint() -> None:
    marked: Any = workflow(plain)
    definition = definition_of(marked)
    assert definition is not None
    assert registered() == {definition.entrypoint: definition}
    assert definition_of(definition.entrypoint) is definition
    for other in (plain, step(plain), "no:where", 3, None):
        assert definition_of(other) is None


def test_what_is_registered_cannot_be_changed_from_outside() -> None:
    registered()["a:b"] = WorkflowDefinition(plain)
    assert registered() == {}
    definition = WorkflowDefinition(plain)
    register(definition)
    assert registered() == {definition.entrypoint: definition}


def test_a_marked_function_that_was_decorated_again_is_refused() -> None:
    marked: Any = workflow(plain)

    @functools.wraps(marked)
    def around() -> object:
        return marked(1)

    with pytest.raises(DefinitionError, match="it was decorated again"):
        definition_of(around)
    assert definition_of(marked) is not None


def test_the_entrypoint_must_name_the_marked_function(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("flows_of_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    function = types.FunctionType(plain.__code__, module.__dict__, "plain")
    function.__module__ = module.__name__
    marked: Any = workflow(function)
    definition = marked.definition
    definition.check_reachable()  # its module is being imported, and has no such name yet
    module.plain = marked
    definition.check_reachable()
    module.plain = function
    with pytest.raises(DefinitionError, match="is the function without @workflow"):
        definition.check_reachable()
    module.plain = 3
    with pytest.raises(DefinitionError, match="is something else than what @workflow gave"):
        definition.check_reachable()


def test_signature_and_result_come_from_the_hints() -> None:
    definition = WorkflowDefinition(plain)
    assert definition.signature.encode((3,), {}) == '{"amount":3}'
    assert definition.result.decode("3") == 3
    assert definition.signature is definition.signature
    assert definition.result is definition.result


def test_partials_are_seen_through() -> None:
    assert innermost(functools.partial(functools.partial(plain, 1))) is plain
    assert innermost(plain) is plain
