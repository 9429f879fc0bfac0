"""Notices that something was away and answers again, so that nobody waits out the delay that failures have grown to."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from perdure.errors import PerdureError

__all__ = ["ConnectivityProbe"]

_log = logging.getLogger("perdure.operator.outage")

_PAUSE = (0.5, 1.0)
"""Seconds from one question to the next while there is no answer."""


class ConnectivityProbe:
    """Asks now and then, at once when somebody suspects, and often while there is no answer.

    Args:
        what: is asked.
        ask: raises `away` while there is no answer. Another error is an answer, too.
        over: is called with the first answer after there was none.
        every: seconds from one question to the next while all is well.

    Attributes:
        problem: why there is no answer; None while there is one.
    """

    def __init__(
        self,
        what: str,
        ask: Callable[[], Awaitable[object]],
        over: Callable[[], None],
        *,
        every: float,
        away: type[PerdureError],
    ) -> None:
        self._what = what
        self._away = away
        self._ask = ask
        self._over = over
        self._every = every
        self._suspected = asyncio.Event()
        self.problem: str | None = None

    def suspect(self) -> None:
        """Somebody got no answer."""
        self._suspected.set()

    async def run(self) -> None:
        """Watch, until cancelled."""
        while True:
            self._suspected.clear()
            away = self.problem is not None
            self.problem = await self._asked()
            if self.problem is not None:
                await asyncio.sleep(random.uniform(*_PAUSE))
                continue
            if away:
                _log.info("%s answers again", self._what)
                self._over()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._suspected.wait()

    async def _asked(self) -> str | None:
        try:
            await self._ask()
        except PerdureError as error:
            return str(error) if isinstance(error, self._away) else None
        return None
