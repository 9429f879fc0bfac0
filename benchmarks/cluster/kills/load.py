"""Keeps so many runs in flight: creates new Workflows as others finish, and cancels some in mid-run.

What a Workflow said when it had finished is kept, and the Workflow deleted; its rows stay in the store. The API server
may be away at any time: what did not work is tried again at the next look.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from urllib3.exceptions import HTTPError

from tests.cluster.api import ApiException, Json
from tests.cluster.cluster import Cluster
from tests.cluster.product import workflows

from .plans import Plan

__all__ = ["Load", "Started"]

_EVERY = 0.5  # seconds from look to look
_PODS_EVERY = 2.0


@dataclass(slots=True)
class Started:
    """A run of the load: whether it was asked to be cancelled, and its Workflow's status once that had finished."""

    plan: Plan
    uid: str
    at: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    status: Json | None = None


class Load:
    """Works in a thread of its own for as long as the block of `on` lasts."""

    def __init__(self, cluster: Cluster, namespace: str, plans: Iterator[Plan], in_flight: int) -> None:
        self.namespace = namespace
        self.started: dict[str, Started] = {}
        """By name."""
        self.exits: Counter[int] = Counter()
        """Exit codes of the pods that were seen to have ended."""
        self._api = cluster.another_api(timeout=10)
        self._plans = plans
        self._next: Plan | None = None
        self._in_flight = in_flight
        self._ended_pods: set[str] = set()
        self._draining = threading.Event()
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, "load")
        self._working = self._thread.submit(self._work)

    @classmethod
    @contextmanager
    def on(cls, cluster: Cluster, namespace: str, plans: Iterator[Plan], in_flight: int) -> Iterator[Load]:
        """A load on a namespace; what has not finished when the block ends stays as it is."""
        load = cls(cluster, namespace, plans, in_flight)
        try:
            yield load
        finally:
            load._closed.set()
            load._thread.shutdown()
            load._api.close()

    def drain(self) -> None:
        """Create no more."""
        self._draining.set()

    def unfinished(self) -> list[Started]:
        """Those whose Workflow has not been seen to have finished."""
        if self._working.done():
            self._working.result()
        return [one for one in list(self.started.values()) if one.status is None]

    def _work(self) -> None:
        pods_due = 0.0
        while not self._closed.wait(_EVERY):
            with suppress(ApiException, HTTPError):
                self._look()
                if time.monotonic() >= pods_due:
                    self._look_at_pods()
                    pods_due = time.monotonic() + _PODS_EVERY

    def _look(self) -> None:
        for body in self._api.get(workflows.path(self.namespace))["items"]:
            if one := self.started.get(body["metadata"]["name"]):
                self._look_at(one, body)
        while not self._draining.is_set() and len(self.unfinished()) < self._in_flight:
            self._create()

    def _look_at(self, one: Started, body: Json) -> None:
        path = workflows.path(self.namespace, one.plan.name)
        if workflows.condition(body, "Finished").get("status") == "True":
            one.status = one.status or body["status"]
            self._api.delete(path)
        elif (after := one.plan.cancelled_after) is not None and time.monotonic() > one.at + after:
            one.cancelled = True  # also where the answer is lost
            if not body["spec"].get("cancel"):
                self._api.patch(path, {"spec": {"cancel": True}})

    def _create(self) -> None:
        plan = self._next = self._next or next(self._plans)
        try:
            body = self._api.create(workflows.path(self.namespace), plan.workflow())
        except ApiException as error:
            if error.status != 409:
                raise
            body = self._api.get(workflows.path(self.namespace, plan.name))
        self.started[plan.name] = Started(plan, body["metadata"]["uid"])
        self._next = None

    def _look_at_pods(self) -> None:
        for pod in self._api.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"]:
            for status in pod["status"].get("containerStatuses") or []:
                if (ended := status["state"].get("terminated")) and pod["metadata"]["uid"] not in self._ended_pods:
                    self._ended_pods.add(pod["metadata"]["uid"])
                    self.exits[ended["exitCode"]] += 1
