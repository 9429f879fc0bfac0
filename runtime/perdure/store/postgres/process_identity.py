"""Who a process is that runs attempts: what it tells the store of itself."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

__all__ = ["ProcessIdentity"]


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, so that others can tell whether it still lives."""

    id: UUID
    host: str
    pid: int
    pid_started: int
    node: str | None = None
