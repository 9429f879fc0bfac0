"""The scheduler's view of a loop: all that it asks for is there in the loop that runs workflows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from perdure.engine.order.host_loop import HostLoop
from perdure.engine.tasks.loop import RunLoop

ASKED = {name: one for name, one in vars(HostLoop).items() if inspect.isfunction(one)}


@pytest.fixture
def bare() -> Iterator[HostLoop]:
    made = HostLoop()
    yield made
    made.close()


def test_there_is_something_to_ask_for() -> None:
    assert set(ASKED) >= {"is_mine", "call_in_loop", "real_later", "start_branch", "run_timer"}


@pytest.mark.parametrize("name", ASKED)
def test_a_loop_that_leaves_it_out_says_so_and_does_not_go_on(bare: HostLoop, name: str) -> None:
    """A default that did nothing would lose a callback, and the run would wait for ever."""
    given: list[Any] = [None] * (len(inspect.signature(ASKED[name]).parameters) - 1)
    if name == "call_in_loop":
        given = [print]
    with pytest.raises(NotImplementedError):
        getattr(bare, name)(*given)


@pytest.mark.parametrize("name", ASKED)
def test_the_loop_of_workflows_has_it(name: str) -> None:
    own = vars(RunLoop)[name]
    assert list(inspect.signature(own).parameters) == list(inspect.signature(ASKED[name]).parameters)


def test_the_loop_of_workflows_has_its_state() -> None:
    loop = RunLoop()
    try:
        assert all(hasattr(loop, name) for name in inspect.get_annotations(HostLoop))
    finally:
        loop.close()
