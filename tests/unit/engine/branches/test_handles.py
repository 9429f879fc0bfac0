"""Callbacks of a run's tasks tell the run when they have run, or will not run any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from perdure.engine.branches.handles import ForeignHandle, LookHandle, RunHandle


@dataclass
class Stand:
    """What of a scheduler and of a loop a handle sees."""

    abandoned: bool = False
    busy: int = 0
    left: int = 0
    looked_by: list[object] = field(default_factory=list)
    runs: object = None
    forked: bool = False
    outside: Any = None
    ran: list[str] = field(default_factory=list)
    soon: list[Any] = field(default_factory=list)

    def leave(self) -> None:
        self.left += 1

    def looked(self, handle: object) -> None:
        self.looked_by.append(handle)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> None:
        self.soon.append(lambda: callback(*args))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.ran.append(f"reported {context['exception']}")

    def get_debug(self) -> bool:
        return False

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def handle(self, callback: Any, kind: type[RunHandle] = RunHandle, *, step: bool = False) -> Any:
        loop: Any = self
        made: Any = kind(callback, (), loop)
        made._scheduler = None if step else self
        return made


def test_the_run_is_told_once_the_callback_has_run() -> None:
    stand = Stand()
    handle: Any = stand.handle(lambda: stand.ran.append(f"left {stand.left}, runs {stand.runs is handle}"))
    handle._run()
    assert stand.ran == ["left 0, runs True"]
    assert (stand.left, stand.runs) == (1, None)


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(1), KeyboardInterrupt()])
def test_one_that_raises_is_told_too_and_ends_no_other_run(error: BaseException) -> None:
    stand = Stand()

    def call() -> None:
        raise error

    stand.handle(call)._run()
    assert (stand.left, stand.runs) == (1, None)


def test_the_callbacks_of_an_abandoned_run_do_not_run() -> None:
    stand = Stand(abandoned=True)
    stand.handle(lambda: stand.ran.append("ran"))._run()
    assert stand.ran == []


def test_those_of_a_step_are_not_the_runs() -> None:
    stand = Stand()
    stand.handle(lambda: stand.ran.append("ran"), step=True)._run()
    assert (stand.ran, stand.left) == (["ran"], 0)


def test_one_that_is_cancelled_is_told_in_a_turn_of_its_own_and_once() -> None:
    stand = Stand()
    handle = stand.handle(print)
    handle.cancel()
    handle.cancel()
    assert stand.left == 0
    stand.turn()
    assert (stand.left, stand.soon) == (1, [])


def test_one_from_another_thread_counts_from_when_it_runs() -> None:
    stand = Stand()
    handle = stand.handle(lambda: stand.ran.append(f"busy {stand.busy}"), ForeignHandle)
    assert stand.busy == 0
    handle._run()
    assert (stand.ran, stand.left) == (["busy 1"], 1)


def test_one_from_another_thread_that_is_cancelled_never_counted() -> None:
    stand = Stand()
    stand.handle(print, ForeignHandle).cancel()
    stand.turn()
    assert (stand.busy, stand.left) == (0, 0)


def test_a_callback_that_gives_itself_to_the_loop_again_is_known() -> None:
    stand = Stand()
    handle = stand.handle(stand.turn, LookHandle)
    assert handle.asks_again_for(stand.turn)
    assert not handle.asks_again_for(stand.leave)
