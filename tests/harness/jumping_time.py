"""Time that passes at once: an event loop whose clock jumps to the next timer when nothing else is to be done."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["JumpingLoop", "in_jumping_time"]


class JumpingLoop(asyncio.SelectorEventLoop):
    """What waits for anything but time waits for ever."""

    _ready: Any
    _scheduled: Any

    def __init__(self) -> None:
        super().__init__()
        self._jumped = 0.0

    def time(self) -> float:
        return self._jumped

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self._jumped = max(self._jumped, self._scheduled[0]._when)
        super()._run_once()  # type: ignore[misc]


def in_jumping_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Have an asynchronous test run in such a loop."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(test(*arguments, **named))

    return run
