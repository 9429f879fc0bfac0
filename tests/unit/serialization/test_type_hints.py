"""Type hints that are text: resolved before anything is done, from all that the program has around the function."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from perdure import Retry, run_step, step, workflow
from perdure.errors import DefinitionError
from perdure.testing import DurableRun

if TYPE_CHECKING:
    S = TypeVar("S")
    from perdure.nowhere import Missing  # type: ignore[import-not-found]

DONE: list[str] = []
T = TypeVar("T")


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


# --- what cannot be resolved


@step(retry=Retry(tries=3, delay=0.001))
def unresolved() -> Missing:
    DONE.append("paid")


@step
async def unresolved_async() -> list[Missing]:
    DONE.append("paid")
    return []


@step
def unreadable() -> socket.socket:
    DONE.append("paid")
    return socket.socket()


@workflow
def calls(which: str) -> None:
    if which == "run_step":
        run_step("other", unresolved)
    else:
        (unresolved if which == "step" else unreadable)()


@workflow
async def calls_async() -> None:
    await unresolved_async()


@workflow
def wrong_result() -> Missing:
    unannotated()


@workflow
async def wrong_async_result() -> Missing:
    unannotated()


@workflow
def wrong_argument(one: Missing = None) -> None:
    unannotated()


@step
def unannotated():
    DONE.append("paid")


@pytest.mark.parametrize(
    ("workflow_", "args", "owner"),
    [
        (calls, ("step",), "step 'unresolved': the annotation of its result, 'Missing', cannot be evaluated"),
        (calls, ("run_step",), "step 'other': the annotation of its result, 'Missing', cannot be evaluated"),
        (calls_async, (), r"step 'unresolved_async': the annotation of its result, 'list\[Missing\]', cannot"),
        (wrong_result, (), "workflow 'wrong_result': the annotation of its result, 'Missing', cannot"),
        (wrong_async_result, (), "workflow 'wrong_async_result': the annotation of its result, 'Missing', cannot"),
        (wrong_argument, (), "workflow 'wrong_argument': the annotation of its argument 'one', 'Missing', cannot"),
    ],
)
def test_a_hint_that_cannot_be_resolved_is_refused_before_anything_is_done(
    workflow_: Any, args: tuple[str, ...], owner: str
) -> None:
    with pytest.raises(DefinitionError, match=owner) as caught:
        DurableRun(workflow_, *args).result()

    assert DONE == []
    assert "outside `if TYPE_CHECKING:`" in str(caught.value)


def test_so_is_one_that_values_cannot_be_read_by() -> None:
    run = DurableRun(calls, "unreadable")

    with pytest.raises(DefinitionError, match=r"step 'unreadable': values of type socket cannot be read from JSON"):
        run.result()
    assert DONE == []


def test_a_hint_that_breaks_later_ends_the_run_and_is_no_error_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    @step
    def later() -> Later:
        return Later(1)

    @workflow
    def handles() -> str:
        try:
            later()
        except Exception as error:
            return type(error).__name__
        return "read"

    run = DurableRun(handles)
    assert run.result() == "read"

    monkeypatch.delitem(globals(), "Later")
    monkeypatch.setattr(later.definition, "codec", type(later.definition)(later, "later").codec)  # type: ignore[attr-defined]
    with pytest.raises(DefinitionError, match="'Later'"):
        run.replay()


# --- what can


@workflow
def forward() -> Later:
    return made_later()


@step
def made_later() -> Later:
    return Later(1)


@dataclass
class Later:
    number: int


class Shelf(Generic[T]):
    class Book:
        pass

    @dataclass
    class Page:
        number: int

    @step
    def page(self) -> Page:
        return Shelf.Page(1)


@workflow
def reads() -> int:
    return Shelf[int]().page().number


def test_classes_further_down_and_inside_of_classes() -> None:
    assert DurableRun(forward).result() == Later(1)
    run = DurableRun(reads)
    run.attempt(kill_after=1)
    assert run.result() == 1


def test_classes_of_the_function_around_it() -> None:
    @dataclass
    class Local:
        number: int

    @step
    def plain() -> Local:
        return Local(1)

    @step(name="options")
    def with_options() -> list[Local]:
        return [Local(2)]

    def bare() -> dict[str, Local]:
        return {"x": Local(3)}

    make = Local

    @workflow
    def uses(given: Local) -> Local:
        numbers = [plain().number, with_options()[0].number, run_step("bare", bare)["x"].number, given.number]
        return make(sum(numbers))

    run = DurableRun(uses, Local(4))
    run.attempt(kill_after=3)
    assert run.result() == Local(10)


def test_type_parameters_as_python_keeps_them() -> None:
    """In every version of Python: what the syntax of 3.12 leaves behind."""

    def same(value: S, others: list[S]) -> list[S]:
        return [value, *others]

    same.__type_params__ = (TypeVar("S"),)  # type: ignore[attr-defined]
    marked = step(same)

    @workflow
    def chooses() -> list[int]:
        return marked(1, [2])

    run = DurableRun(chooses)
    run.attempt(kill_after=1)
    assert run.result() == [1, 2]
