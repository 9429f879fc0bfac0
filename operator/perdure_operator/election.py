"""Leader election by a Lease: of several operators, only its holder works.

All times are by this process's own clock: a record lapses if this process has not observed a change of it for its whole
duration. A holder that cannot renew in time stops before another operator may start. If a holder is paused for longer
than that, the store's claims make its late actions harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import ApiError, Conflict, NotFound
from .kube import LEASES, Json, Kube

__all__ = ["Elector", "LeaseTimes"]

_log = logging.getLogger("perdure.operator.election")

_RELEASE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds, as client-go has them.

    Attributes:
        duration: of a record without a renewal.
        renew: within which a holder must have renewed the Lease, or it stops.
        retry: between tries.
    """

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


class Elector:
    """Campaigns for one Lease as `identity`, and runs the work while it holds it."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str,
        identity: str,
        *,
        times: LeaseTimes | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._times = times or LeaseTimes()
        self._clock = clock or _clock
        self._record: Json = {}
        self._changed_at = 0.0
        self._renewed_at = 0.0
        self.holder: str | None = None
        """The last known holder."""
        self.problem: str | None = None
        """Why the last read or write of the Lease failed; None if it did not."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` whenever this process holds the Lease, until cancelled; then release it.

        An error of `work` ends this, and releases the Lease, too.
        """
        try:
            while True:
                await self._acquire()
                _log.info("leading", extra={"identity": self.identity})
                await self._lead(work)
                _log.warning("no longer leading", extra={"identity": self.identity})
        finally:
            with suppress(ApiError, TimeoutError):
                async with asyncio.timeout(_RELEASE):
                    await self._release()

    async def _acquire(self) -> None:
        while not await self._try():  # noqa: ASYNC110 there is no event for a free Lease
            await asyncio.sleep(self._times.retry * random.uniform(1.0, 1.2))

    async def _lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work until the Lease is lost."""
        working = asyncio.ensure_future(work())
        keeping = asyncio.create_task(self._keep(), name="keep the lease")
        try:
            done, _ = await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if working in done:
                working.result()
        finally:
            for task in (working, keeping):
                task.cancel()
            await asyncio.wait({working, keeping}, timeout=self._times.duration - self._times.renew)

    async def _keep(self) -> None:
        """Renew until that has failed for too long."""
        while (left := self._renewed_at + self._times.renew - self._clock()) > 0:
            try:
                async with asyncio.timeout(left):
                    if not await self._try() and self.holder != self.identity:
                        return  # another operator has taken it
            except TimeoutError:
                return
            left = self._renewed_at + self._times.renew - self._clock()
            await asyncio.sleep(max(0.0, min(self._times.retry, left)))

    async def _try(self) -> bool:
        """Whether the Lease is ours now."""
        began = self._clock()
        try:
            held = await self._take_or_renew()
        except Conflict:
            return False  # another operator was faster
        except ApiError as error:
            self.problem = str(error)
            _log.warning("the lease cannot be renewed now: %s", error)
            return False
        self.problem = None
        if held:
            self._renewed_at = began  # not when the response came: the others count from the write
        return held

    async def _take_or_renew(self) -> bool:
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name)
        except NotFound:
            # Created without a holder. Several operators may try that at once; one of them then wins the write.
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self._name}}
            lease = await self._kube.ensure(LEASES, self._namespace, body)
        self._see(lease)
        spec = lease.get("spec") or {}
        ours = self.holder == self.identity
        lasts = float(spec.get("leaseDurationSeconds") or self._times.duration)
        if self.holder and not ours and self._clock() < self._changed_at + lasts:
            return False
        await self._write(lease, self._spec(spec, taking=not ours))
        return True

    async def _release(self) -> None:
        """Release the Lease, so that another operator can take it at once."""
        if self.holder != self.identity:
            return
        lease = await self._kube.get(LEASES, self._namespace, self._name)
        self._see(lease)
        if self.holder == self.identity:
            now = _micro_time()
            spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now}
            await self._write(lease, spec)

    async def _write(self, lease: Json, spec: Json) -> None:
        body = {**lease, "spec": spec}
        self._see(await self._kube.replace(LEASES, self._namespace, self._name, body, timeout=self._times.renew / 2))

    def _spec(self, before: Json, *, taking: bool) -> dict[str, Any]:
        now = _micro_time()
        changed = {"acquireTime": now, "leaseTransitions": int(before.get("leaseTransitions") or 0) + bool(before)}
        return {
            **before,
            **(changed if taking else {}),
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self._times.duration),
            "renewTime": now,
        }

    def _see(self, lease: Json) -> None:
        spec = lease.get("spec") or {}
        if spec != self._record:
            self._record, self._changed_at = spec, self._clock()
        self.holder = spec.get("holderIdentity") or None


def _clock() -> float:
    """Seconds of a clock that also counts while the machine sleeps: its Lease lapses meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
