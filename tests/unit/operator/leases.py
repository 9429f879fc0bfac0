"""A Lease as an API server keeps it, electors that campaign for it, and the work that they do meanwhile."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from perdure_operator.election import Elector, LeaseTimes
from perdure_operator.errors import Conflict, NotFound, Unavailable
from perdure_operator.kube import Json, Kube, Resource

__all__ = ["Campaign", "Leases", "Line", "now"]

_ANSWERS_WITHIN = 10.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Leases:
    """The one Lease: what is stored, and who wrote what."""

    def __init__(self) -> None:
        self.stored: Json | None = None
        self.version = 0
        self.holders: list[str] = []
        """Of each write, in order."""

    @property
    def spec(self) -> Json:
        assert self.stored is not None
        return dict(self.stored["spec"])

    def put(self, body: Json) -> Json:
        self.version += 1
        self.stored = copy.deepcopy(body)
        self.stored.setdefault("metadata", {})["resourceVersion"] = str(self.version)
        self.holders.append((body.get("spec") or {}).get("holderIdentity", ""))
        return copy.deepcopy(self.stored)


class Line:
    """One elector's line to the server: it may be slow, cut, or lose the answers to what it has carried out."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.latency = 0.0
        """Seconds to the server."""
        self.way_back = 0.0
        """Seconds for the answer to a write."""
        self.cut = False
        self.hangs = False
        self.loses_answers = False

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        await self._carried(_ANSWERS_WITHIN)
        if self._leases.stored is None:
            raise NotFound("get leases", "there is none")
        return copy.deepcopy(self._leases.stored)

    async def ensure(self, resource: Resource, namespace: str, body: Json) -> Json:
        await self._carried(_ANSWERS_WITHIN)
        assert "spec" not in body
        stored = self._leases.stored
        return await self._answered(self._leases.put(body) if stored is None else copy.deepcopy(stored))

    async def replace(self, resource: Resource, namespace: str, name: str, body: Json, *, timeout: float) -> Json:
        await self._carried(timeout)
        stored = self._leases.stored
        if stored is None:
            raise NotFound("update leases", "there is none")
        if stored["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Conflict("update leases", "it has been modified")
        return await self._answered(self._leases.put(body))

    async def _carried(self, within: float) -> None:
        await asyncio.sleep(min(self.latency, within))
        if self.hangs:
            await asyncio.sleep(within)
        if self.cut or self.hangs or self.latency >= within:
            raise Unavailable("leases", "no answer")

    async def _answered(self, answer: Json) -> Json:
        await asyncio.sleep(self.way_back)
        if self.loses_answers:
            raise Unavailable("leases", "the answer is lost")
        return answer


class Campaign:
    """Electors by name; never may two of them work."""

    def __init__(self, times: LeaseTimes | None = None) -> None:
        self.leases = Leases()
        self.times = times
        self.lines: dict[str, Line] = {}
        self.electors: dict[str, Elector] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.at_work: list[str] = []
        self.terms: list[tuple[str, float]] = []
        """Who began to work, and when."""

        self.overlaps: list[tuple[str, ...]] = []

    def join(self, name: str, *, clock: Callable[[], float] = now, work: Any = None) -> Elector:
        """Start an elector."""
        line = self.lines.setdefault(name, Line(self.leases))
        kube = cast("Kube", line)
        elector = Elector(kube, "perdure", "operator", name, times=self.times, clock=clock)
        self.electors[name] = elector
        self.tasks[name] = asyncio.create_task(elector.run(work or (lambda: self._work(name))))
        return elector

    async def _work(self, name: str) -> None:
        self.terms.append((name, now()))
        self.at_work.append(name)
        if len(self.at_work) > 1:
            self.overlaps.append(tuple(self.at_work))
        try:
            await asyncio.Event().wait()
        finally:
            self.at_work.remove(name)

    async def stop(self, name: str) -> None:
        """End it in order, as SIGTERM does."""
        self.tasks[name].cancel()
        with suppress(asyncio.CancelledError):
            await self.tasks[name]

    async def kill(self, name: str) -> None:
        """End it without a word."""
        self.lines[name].cut = True
        await self.stop(name)

    async def until(self, name: str, within: float = 60.0) -> float:
        """Wait until it works; how long that took."""
        began = now()
        while self.at_work != [name]:
            assert now() - began < within, (self.at_work, self.leases.stored)
            await asyncio.sleep(0.05)
        return now() - began

    async def end(self) -> None:
        """End all of them."""
        for name, task in self.tasks.items():
            if not task.done():
                await self.stop(name)
        assert self.overlaps == []
