"""A worker's settings."""

from __future__ import annotations

from dataclasses import dataclass

from ..definitions import WorkflowDefinition

__all__ = ["OWN_CONNECTIONS", "WorkerSettings"]

OWN_CONNECTIONS = 11
"""The most that a worker takes for itself at a time: one for claims, notifications, heartbeats, endings and checkpoints
of threads each, two for those of tasks; and at times one for loads and takeovers each, and two for locked rows."""


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
    max_connections: int
    origins: list[str] | None = None
    """The files of these workflows, where several projects share the database."""
