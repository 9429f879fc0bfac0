"""Durable Python workflows: every finished step is a checkpoint in Postgres, and a run goes on whatever dies."""

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

__all__ = [
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
    "now",
    "random",
    "run_step",
    "step",
    "step_context",
    "to_thread",
    "uuid4",
    "workflow",
]
