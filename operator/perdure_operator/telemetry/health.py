"""HTTP for the kubelet: /livez, /readyz, and /metrics if no authorization is required for it.

/livez succeeds if the loop runs and no reconcile hangs. It does not depend on Postgres or the API server: a restart
would not end their outage. /readyz fails while the operator cannot work, and its text has the problems and warnings.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

__all__ = ["METRICS_PATH", "Health", "measured"]

_log = logging.getLogger("perdure.operator.health")

METRICS_PATH = "/metrics"

Problems = Callable[[], Sequence[str]]


def measured(text: bytes) -> web.Response:
    """A response with metrics in Prometheus's text format."""
    return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


class Health:
    """Serves while `run` runs."""

    def __init__(
        self, port: int, *, dead: Problems, unready: Problems, warnings: Problems, metrics: Callable[[], bytes] | None
    ) -> None:
        self._port = port
        self._dead = dead
        self._unready = unready
        self._warnings = warnings
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application()
        app.router.add_get("/livez", self._asked(self._dead, lambda: ()))
        app.router.add_get("/readyz", self._asked(self._unready, self._warnings))
        if (metrics := self._metrics) is not None:

            async def answer(_: web.Request) -> web.Response:
                return measured(metrics())

            app.router.add_get(METRICS_PATH, answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, None, self._port).start()
        # With port 0 each family has a port of its own.
        _log.info("listening", extra={"port": min(self._runner.addresses, key=len)[1]})

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _asked(self, problems: Problems, warnings: Problems) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(_: web.Request) -> web.Response:
            found = problems()
            said = [*(found or ["ok"]), *(f"warning: {one}" for one in warnings())]
            return web.Response(status=503 if found else 200, text="\n".join(said) + "\n")

        return answer
