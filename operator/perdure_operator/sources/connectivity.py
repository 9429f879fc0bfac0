"""Notices when the store or the API server is back after an outage, so that failed work is retried at once.

Without this, each failed key would wait for the end of its delay, which grows with each failure.
"""

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
"""Seconds between probes during an outage."""


class ConnectivityProbe:
    """Probes a server periodically, at once after a call to `suspect`, and often during an outage.

    Args:
        what: the server, for messages.
        probe: raises `away` during an outage; any other error shows that the server responds.
        over: called at the end of an outage.
        every: seconds between probes while the server responds.

    Attributes:
        problem: the error of the last probe during an outage; None otherwise.
    """

    def __init__(
        self,
        what: str,
        probe: Callable[[], Awaitable[object]],
        over: Callable[[], None],
        *,
        every: float,
        away: type[PerdureError],
    ) -> None:
        self._what = what
        self._away = away
        self._probe = probe
        self._over = over
        self._every = every
        self._suspected = asyncio.Event()
        self.problem: str | None = None

    def suspect(self) -> None:
        """Probe now: a call to the server has failed."""
        self._suspected.set()

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            self._suspected.clear()
            away = self.problem is not None
            self.problem = await self._probed()
            if self.problem is not None:
                await asyncio.sleep(random.uniform(*_PAUSE))
                continue
            if away:
                _log.info("%s responds again", self._what)
                self._over()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._suspected.wait()

    async def _probed(self) -> str | None:
        try:
            await self._probe()
        except PerdureError as error:
            return str(error) if isinstance(error, self._away) else None
        return None
