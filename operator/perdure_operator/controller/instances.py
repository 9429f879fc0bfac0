"""Which Workflows are this operator's, where several share a cluster: those with its instance's label, or with none.

Each Workflow is one operator's at a time. One whose label changes is gone for the operator that had it, which cancels
its run; the other one finds a Workflow that has begun elsewhere, and leaves it to a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api.names import LABEL_INSTANCE, POD_SELECTOR
from ..api.untyped import mapping
from ..errors import NotFound
from ..kube import WORKFLOWS, Json, Kube

__all__ = ["Instance"]


@dataclass(frozen=True, slots=True)
class Instance:
    """An installation among several; without a name, that of all Workflows that name none."""

    name: str | None = None

    @property
    def workflows(self) -> str:
        """Selects its Workflows."""
        return f"!{LABEL_INSTANCE}" if self.name is None else f"{LABEL_INSTANCE}={self.name}"

    @property
    def pods(self) -> str:
        """Selects their pods."""
        return f"{POD_SELECTOR},{self.workflows}"

    @property
    def labels(self) -> dict[str, str]:
        """Those that its pods have besides the others."""
        return {} if self.name is None else {LABEL_INSTANCE: self.name}

    def owner(self, cluster: str) -> str:
        """The owner of its runs in the store. It has the instance's name, since instances may share a store."""
        return cluster if self.name is None else f"{cluster}/{self.name}"

    def has(self, body: Mapping[str, Any]) -> bool:
        """Whether a Workflow is its own."""
        return mapping(mapping(body.get("metadata")).get("labels")).get(LABEL_INSTANCE) == self.name

    async def workflow(self, kube: Kube, namespace: str, name: str) -> Json:
        """A Workflow as it is now.

        Raises:
            NotFound: there is none, or it is another instance's.
            ApiError: the API server gave no usable response.
        """
        body = await kube.get(WORKFLOWS, namespace, name)
        if not self.has(body):
            raise NotFound(f"get workflow {namespace}/{name}", "it is another instance's")
        return body
