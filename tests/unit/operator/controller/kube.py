"""An API server of a few objects in memory, which refuses what a test says, and keeps what it was asked."""

from __future__ import annotations

from collections import deque
from typing import Any

from perdure_operator.errors import AlreadyExists, NotFound
from perdure_operator.kube import Json, Resource


class Objects:
    """A client of it: the verbs that the controller uses.

    Attributes:
        failures: errors for the next calls of each verb.
        calls: verb, plural and name.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Json] = {}
        self.failures: dict[str, deque[Exception]] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.bodies: list[Json] = []

    def fail(self, verb: str, error: Exception) -> None:
        self.failures.setdefault(verb, deque()).append(error)

    def _called(self, verb: str, resource: Resource, name: str) -> None:
        self.calls.append((verb, resource.plural, name))
        if waiting := self.failures.get(verb):
            raise waiting.popleft()

    async def create(self, resource: Resource, namespace: str, body: Json, *, strict: bool = False) -> Json:
        name = body["metadata"]["name"]
        self._called("create", resource, name)
        self.bodies.append(body)
        key = (resource.plural, namespace, name)
        if key in self.objects:
            raise AlreadyExists(f"create {name}", "it exists")
        self.objects[key] = {**body, "metadata": {"uid": f"uid-{name}", "namespace": namespace, **body["metadata"]}}
        return self.objects[key]

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        self._called("get", resource, name)
        try:
            return self.objects[resource.plural, namespace, name]
        except KeyError:
            raise NotFound(f"get {name}", "not found") from None

    async def merge(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        self._called("merge", resource, name)
        self.objects[resource.plural, namespace, name] |= body
        return self.objects[resource.plural, namespace, name]

    async def apply_status(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        self._called("apply_status", resource, name)
        self.bodies.append(body)
        found = self.objects[resource.plural, namespace, name]
        return {**found, "status": body["status"]}

    async def delete(self, resource: Resource, namespace: str, name: str, **_: Any) -> Json:
        self._called("delete", resource, name)
        return self.objects.pop((resource.plural, namespace, name), {})
