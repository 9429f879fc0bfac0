"""Answers for the kubelet: alive, ready or why not; and metrics only where they are open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from perdure_operator.telemetry.health import Health


class Problems:
    dead: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def served(
    problems: Problems,
    metrics: Callable[[], bytes] | None,
    ask: Callable[[Callable[[str], Coroutine[Any, Any, tuple[int, str]]]], Coroutine[Any, Any, None]],
) -> None:
    async def run() -> None:
        health = Health(
            0,
            dead=lambda: problems.dead,
            unready=lambda: problems.unready,
            warnings=lambda: problems.warnings,
            metrics=metrics,
        )
        await health.start()
        assert health._runner is not None
        port = min(health._runner.addresses, key=len)[1]

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                return response.status, await response.text()

        try:
            async with aiohttp.ClientSession() as session:
                await ask(get)
        finally:
            await health.close()

    asyncio.run(run())


def test_all_is_well() -> None:
    async def ask(get: Any) -> None:
        assert await get("/livez") == (200, "ok\n")
        assert await get("/readyz") == (200, "ok\n")
        assert (await get("/metrics"))[0] == 404
        assert (await get("/"))[0] == 404

    served(Problems(), None, ask)


def test_problems_are_told_and_warnings_beside_them() -> None:
    problems = Problems()

    async def ask(get: Any) -> None:
        problems.unready, problems.warnings = ("the store is away", "the Lease: no"), ("the queue is half full",)
        assert await get("/livez") == (200, "ok\n")
        assert await get("/readyz") == (503, "the store is away\nthe Lease: no\nwarning: the queue is half full\n")
        problems.unready = ()
        assert await get("/readyz") == (200, "ok\nwarning: the queue is half full\n")
        problems.dead = ("a reconcile has not ended",)
        assert await get("/livez") == (503, "a reconcile has not ended\n")

    served(problems, None, ask)


def test_open_metrics_are_beside_health() -> None:
    async def ask(get: Any) -> None:
        assert await get("/metrics") == (200, "perdure_operator_leading 1\n")

    served(Problems(), lambda: b"perdure_operator_leading 1\n", ask)


def test_the_port_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def ask(_: Any) -> None:
        [record] = [one for one in caplog.records if one.message == "listening"]
        assert record.__dict__["port"] > 0

    served(Problems(), None, ask)
