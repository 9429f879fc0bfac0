"""HTTPS for Prometheus: /metrics, for accounts of the cluster that may read it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from .access import Access, Verdict
from .certificate import Certificate
from .health import METRICS_PATH, measured

__all__ = ["MetricsServer"]

_log = logging.getLogger("perdure.operator.metrics")


class MetricsServer:
    """Serves between `start` and `close`."""

    def __init__(self, port: int, certificate: Certificate, access: Access, text: Callable[[], bytes]) -> None:
        self._port = port
        self._certificate = certificate
        self._access = access
        self._text = text
        self._runner: web.AppRunner | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            Misconfigured: there is no certificate.
            OSError: the port is taken.
        """
        await asyncio.to_thread(self._certificate.load)
        app = web.Application()
        app.router.add_get(METRICS_PATH, self._measured)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        context = self._certificate.context
        await web.TCPSite(self._runner, None, self._port, ssl_context=context).start()
        self._keeping = asyncio.create_task(self._certificate.keep(), name="keep the certificate")
        _log.info("serving metrics", extra={"port": min(self._runner.addresses, key=len)[1]})

    async def close(self) -> None:
        """Stop listening."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        if self._runner is not None:
            await self._runner.cleanup()

    async def _measured(self, request: web.Request) -> web.Response:
        match verdict := await self._access.verdict(request.headers.get("Authorization")):
            case Verdict.ALLOWED:
                return measured(self._text())
            case Verdict.UNKNOWN:
                return web.Response(status=verdict.value, headers={"WWW-Authenticate": "Bearer"})
            case Verdict.FORBIDDEN | Verdict.NOT_NOW:
                return web.Response(status=verdict.value)
