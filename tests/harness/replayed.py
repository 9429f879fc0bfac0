"""What a workflow gets of a step that ran in an earlier attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perdure import run_step, workflow
from perdure.testing import DurableRun

__all__ = ["caught"]


def caught(raises: Callable[[], object]) -> Any:
    """The exception of a step as a workflow gets it on replay, which is of the same class and says the same as live."""
    found: list[BaseException] = []

    @workflow
    def catches() -> None:
        try:
            run_step("raises", raises)
        except Exception as error:
            found.append(error)

    run = DurableRun(catches)
    run.attempt(kill_after=1)
    run.result()
    live, replayed = found
    assert type(live) is type(replayed)
    assert [str(live), repr(live)] == [str(replayed), repr(replayed)]
    return replayed
