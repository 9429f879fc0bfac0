"""The callbacks of a run's tasks in the loop. Each tells the run when it has run, so that its rest is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from .forked import end_fork

if TYPE_CHECKING:
    from .host_loop import Counted, HostLoop
    from .scheduler import Scheduler

__all__ = ["ForeignHandle", "LookHandle", "RunHandle"]


class RunHandle(asyncio.Handle):
    """A callback of a run's tasks; `scheduler` is None in the body of a step."""

    __slots__ = ("_scheduler",)
    _scheduler: Counted | None
    _loop: HostLoop

    def _run(self) -> None:
        loop = self._loop
        scheduler, self._scheduler = self._scheduler, None
        raised: BaseException | None = None
        if scheduler is not None and scheduler.abandoned:
            return
        loop.runs = self
        try:
            super()._run()
        except (SystemExit, KeyboardInterrupt) as error:
            # The task that raised it carries it; another run's tasks in this loop are not to end with it.
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
            self._loop.call_soon(scheduler.leave, context=self._loop.outside)

    def asks_again_for(self, callback: Callable[..., object]) -> bool:
        """Whether `callback`, given to the loop by this callback, is this one once more. A task's own steps are not."""
        own = self._callback  # type: ignore[attr-defined]
        return own == callback and not isinstance(getattr(own, "__self__", None), asyncio.Task)


class LookHandle(RunHandle):
    """A callback that gives itself to the loop again and again, to look whether there is something to do.

    A cancelled scope of anyio does so, to cancel what its tasks wait for next. It does not keep the run from coming to
    rest, once it has seen all that the run did.
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
    """A callback that another thread gave to the loop in the name of a run."""

    __slots__ = ()

    def _run(self) -> None:
        if self._scheduler is not None:
            self._scheduler.busy += 1
        super()._run()

    def cancel(self) -> None:
        self._scheduler = None
        super().cancel()
