"""The callbacks of a run's tasks in the loop.

The scheduler counts these callbacks until they have run or are cancelled. By this count it finds the run at rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from .forked import end_fork

if TYPE_CHECKING:
    from ..order.host_loop import Counted, HostLoop
    from ..order.scheduler import Scheduler

__all__ = ["ForeignHandle", "LookHandle", "RunHandle"]


class RunHandle(asyncio.Handle):
    """A callback of a run's tasks; `_scheduler` is None where it does not count, as in the body of a step."""

    __slots__ = ("_scheduler",)
    _scheduler: Counted | None
    _loop: HostLoop

    def _run(self) -> None:
        loop = self._loop
        # Taken out first: a callback that cancels itself must not be counted off twice.
        scheduler, self._scheduler = self._scheduler, None
        raised: BaseException | None = None
        if scheduler is not None and scheduler.abandoned:
            return
        loop.runs = self
        try:
            super()._run()
        except (SystemExit, KeyboardInterrupt) as error:
            # The task that raised the error keeps it. The error must not end the loop, and so other runs with it.
            raised = error
        finally:
            loop.runs = None
        if loop.forked:
            end_fork("a task of the workflow", raised)
        if scheduler is not None:
            scheduler.leave()

    def cancel(self) -> None:
        super().cancel()
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            # In a turn of its own: `leave` may deliver an event, and must not do so within the code that cancels.
            self._loop.call_soon(scheduler.leave, context=self._loop.outside)

    def asks_again_for(self, callback: Callable[..., object]) -> bool:
        """Whether this callback gives itself to the loop again, as `callback`; False for those of a task itself."""
        own = self._callback  # type: ignore[attr-defined]
        return own == callback and not isinstance(getattr(own, "__self__", None), asyncio.Task)


class LookHandle(RunHandle):
    """A callback that gives itself to the loop again and again, to look for something to do.

    A cancelled scope of anyio does so, to cancel the next waits of its tasks. Such a callback does not keep the run
    from coming to rest, once its latest look was later than every other callback of the run.
    """

    __slots__ = ("_looks_at",)
    _looks_at: Scheduler | None

    def _run(self) -> None:
        scheduler, self._looks_at = self._looks_at, None
        if scheduler is None or scheduler.abandoned:
            return
        super()._run()
        scheduler.looked(self)

    def cancel(self) -> None:
        super().cancel()
        scheduler, self._looks_at = self._looks_at, None
        if scheduler is not None:
            self._loop.call_soon(scheduler.looked, self, context=self._loop.outside)


class ForeignHandle(RunHandle):
    """A callback that another thread gave to the loop in the context of a run."""

    __slots__ = ()

    def _run(self) -> None:
        if self._scheduler is not None:
            # Counted here, since only the loop's thread may change `busy`.
            self._scheduler.busy += 1
        super()._run()

    def cancel(self) -> None:
        # Not counted yet, so there is nothing to count off.
        self._scheduler = None
        super().cancel()
