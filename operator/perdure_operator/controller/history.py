"""Deletes finished Workflows by the operator's settings: by age, and by number in a namespace.

By default nothing is deleted: a GitOps tool would create a deleted Workflow again, and so run it again. The Workflow's
own `ttlSecondsAfterFinished` is handled by `decide`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from perdure.pauses import about

from ..api.parse import parse_workflow
from ..decide.observed import FINISHED, Key
from ..errors import ApiError, Conflict, NotFound
from ..kube import WORKFLOWS, Kube
from .instances import Instance

__all__ = ["Finished", "History", "RetentionPolicy", "surplus"]

_log = logging.getLogger("perdure.operator.history")

_EVERY = 60.0
"""Seconds between two lists of the finished Workflows."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A Workflow that has finished; `own_ttl`: its spec has a time to live."""

    key: Key
    uid: UUID
    at: datetime
    succeeded: bool
    own_ttl: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """Which finished Workflows are kept; None: all.

    Attributes:
        ttl: seconds for which a Workflow without a time to live of its own is kept.
        successful, failed: how many of a namespace, the newest.
    """

    ttl: float | None = None
    successful: int | None = None
    failed: int | None = None

    @property
    def all(self) -> bool:
        """Whether nothing is to be deleted."""
        return (self.ttl, self.successful, self.failed) == (None, None, None)


def surplus(finished: Iterable[Finished], keeping: RetentionPolicy, now: datetime) -> list[Finished]:
    """The Workflows that are to be deleted, oldest first."""
    lines: defaultdict[tuple[str, bool], list[Finished]] = defaultdict(list)
    for one in finished:
        lines[one.key.namespace, one.succeeded].append(one)
    gone: list[Finished] = []
    for (_, succeeded), line in lines.items():
        line.sort(key=lambda one: (one.at, one.uid))
        kept = keeping.successful if succeeded else keeping.failed
        more = 0 if kept is None else max(0, len(line) - kept)
        gone += [one for place, one in enumerate(line) if place < more or _is_over(one, keeping.ttl, now)]
    return sorted(gone, key=lambda one: (one.at, one.uid))


def _is_over(one: Finished, ttl: float | None, now: datetime) -> bool:
    return ttl is not None and not one.own_ttl and now - one.at >= timedelta(seconds=ttl)


class History:
    """Lists an instance's finished Workflows every minute, in these namespaces, or in all if there are none."""

    def __init__(
        self,
        keeping: RetentionPolicy,
        kube: Kube,
        namespaces: Sequence[str],
        instance: Instance,
        *,
        every: float = _EVERY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keeping = keeping
        self._kube = kube
        self._namespaces = namespaces
        self._selector = instance.workflows
        self._every = every
        self._now = now

    async def run(self) -> None:
        """Delete surplus Workflows until cancelled. Returns at once if the policy keeps all."""
        while not self._keeping.all:
            for namespace in self._namespaces or (None,):
                try:
                    await self._tidy(namespace)
                except ApiError as error:
                    _log.warning("finished Workflows could not be deleted now: %s", error)
            await asyncio.sleep(about(self._every))

    async def _tidy(self, namespace: str | None) -> None:
        seen = (await self._kube.listed(WORKFLOWS, _read, namespace=namespace, selector=self._selector))[0]
        for one in surplus((one for one in seen if one is not None), self._keeping, self._now()):
            try:
                await self._kube.delete(WORKFLOWS, one.key.namespace, one.key.name, uid=str(one.uid))
            except (NotFound, Conflict):
                continue
            _log.info("deleted a finished Workflow", extra={"workflow": str(one.key), "run": str(one.uid)})


def _read(body: Mapping[str, Any]) -> Finished | None:
    workflow = parse_workflow(body)
    status = workflow.status
    if not status.finished or workflow.deleting:
        return None
    at = status.completion_time or status.conditions[FINISHED].since
    own = workflow.spec is not None and workflow.spec.ttl_seconds_after_finished is not None
    return Finished(workflow.key, workflow.uid, at, status.says("Succeeded"), own)
