"""Programs as people write them give what a plain call gives, killed after each checkpoint and in each step."""

from __future__ import annotations

import asyncio
import collections
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from perdure.testing import DurableRun, kills

from . import agents, data, delivery, money, outside, services, styles

PROGRAMS = [
    pytest.param(program, args, id=f"{theme.__name__.rpartition('.')[2]}-{program.__name__}-{number}")
    for theme in (agents, data, delivery, money, services, styles)
    for number, (program, args) in enumerate(theme.PROGRAMS)
]


@pytest.fixture(autouse=True)
def _new_world() -> None:
    outside.forget()


def _end(call: Callable[[], Any]) -> Any:
    """What a call gives or raises, in a form that compares types, too."""
    try:
        value = call()
    except Exception as error:
        cause = error.__cause__
        return type(error), error.args, str(error), type(cause), str(cause)
    return type(value), repr(value)


def _plainly(program: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return asyncio.run(program(*args)) if inspect.iscoroutinefunction(program) else program(*args)


@pytest.mark.parametrize(("program", "args"), PROGRAMS)
def test_a_program_ends_as_its_plain_call_wherever_it_dies(program: Callable[..., Any], args: tuple[Any, ...]) -> None:
    expected = _end(lambda: _plainly(program, args))
    told = collections.Counter(map(repr, outside.world("plain").told))
    undisturbed = DurableRun(program, *args)
    assert _end(undisturbed.result) == expected
    assert collections.Counter(map(repr, outside.world(undisturbed.run_id).told)) == told
    deaths = 0
    for run in kills(program, *args):
        assert _end(run.result) == expected, run.attempts
        _check_that_each_step_ran_once(run)
        # What a step did that had no checkpoint yet, it did again.
        again = collections.Counter(map(repr, outside.world(run.run_id).told))
        assert again.keys() == told.keys()
        deaths += 1
    assert deaths >= len(undisturbed.checkpoints)


def _check_that_each_step_ran_once(run: DurableRun) -> None:
    stored: set[str] = set()
    for attempt in run.attempts:
        assert not stored & set(attempt.executed), "a finished step ran again"
        stored |= set(attempt.stored)
