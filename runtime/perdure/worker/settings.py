"""What a worker was told."""

from __future__ import annotations

from dataclasses import dataclass

from ..definitions import WorkflowDefinition

__all__ = ["WorkerSettings"]


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """As the arguments of `Worker`, which describes them."""

    url: str
    direct_url: str
    owner: str
    definitions: dict[str, WorkflowDefinition]
    concurrency: int
    threads: int
    lease: float
