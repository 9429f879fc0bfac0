"""The identity of a process that runs attempts, as the store keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

__all__ = ["ProcessIdentity"]


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, with enough to find out later whether it still lives."""

    id: UUID
    host: str
    pid: int
    pid_started: int
    node: str | None = None
