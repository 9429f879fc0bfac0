"""Durable Python workflows: every finished step is a checkpoint in Postgres, and a run goes on whatever dies."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .context import StepContext, step_context
from .definitions import run_step, step, workflow
from .engine.threads import ThreadPoolExecutor, to_thread
from .errors import (
    NondeterminismError,
    PerdureError,
    RunConflict,
    RunFailed,
    RunNotFound,
    RunWasCancelled,
    StepError,
    StepTimeout,
)
from .recorded import now, random, uuid4
from .retry import Retry

if TYPE_CHECKING:
    from .client import Client
    from .worker import Worker

__all__ = [
    "Client",
    "NondeterminismError",
    "PerdureError",
    "Retry",
    "RunConflict",
    "RunFailed",
    "RunNotFound",
    "RunWasCancelled",
    "StepContext",
    "StepError",
    "StepTimeout",
    "ThreadPoolExecutor",
    "Worker",
    "now",
    "random",
    "run_step",
    "step",
    "step_context",
    "to_thread",
    "uuid4",
    "workflow",
]

_LATER = {"Client": ".client", "Worker": ".worker"}
"""What a workflow's own process does not need, and so does not import."""


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
