"""Records events for `kubectl describe`: one object for each reason and message, with a count of repetitions."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime

from ..api.names import API_VERSION, KIND
from ..decide.actions import PostEvent
from ..decide.observed import Workflow
from ..errors import AlreadyExists, ApiError
from ..kube import EVENTS, Json, Kube

__all__ = ["EventRecorder"]

_log = logging.getLogger("perdure.operator.posting")

_COMPONENT = "perdure-operator"
_LONGEST = 1024
"""Characters of a message, as the API server allows."""


class EventRecorder:
    """Posts events in the name of `identity`. A failure is only logged: the status holds the same information."""

    def __init__(self, kube: Kube, identity: str) -> None:
        self._kube = kube
        self._identity = identity

    async def post(self, workflow: Workflow, event: PostEvent) -> None:
        """Post an event about a Workflow, or count up the one with this reason and message."""
        body = self._body(workflow, event)
        namespace, name = workflow.key.namespace, body["metadata"]["name"]
        try:
            try:
                await self._kube.create(EVENTS, namespace, body)
            except AlreadyExists:
                before = await self._kube.get(EVENTS, namespace, name)
                again = {"count": int(before.get("count") or 1) + 1, "lastTimestamp": body["lastTimestamp"]}
                await self._kube.merge(EVENTS, namespace, name, again)
        except ApiError as error:
            _log.warning("an event was not posted: %s", error, extra={"reason": event.reason})

    def _body(self, workflow: Workflow, event: PostEvent) -> Json:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = hashlib.sha256(f"{workflow.uid} {event.reason} {event.message}".encode()).hexdigest()[:16]
        return {
            "metadata": {"name": f"{workflow.key.name[:200]}.{digest}", "namespace": workflow.key.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": workflow.key.namespace,
                "name": workflow.key.name,
                "uid": str(workflow.uid),
                "resourceVersion": workflow.resource_version,
            },
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": event.message[:_LONGEST],
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "reportingInstance": self._identity,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
