"""Durable Python workflows: every finished step is a checkpoint in Postgres, and a run goes on after any crash.

Names are imported when they are first used: a process that only supervises, or holds signals back before anything else
happens, does not wait for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import aio
    from .client import Client
    from .decorators import run_step, step, workflow
    from .durable_time import now, sleep, sleep_until
    from .engine.branches.context import StepContext, step_context
    from .engine.threads.threads import ThreadPoolExecutor, to_thread
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
    from .recorded_values import random, uuid4
    from .retry import Retry
    from .serialization.failures.registered_errors import register_error
    from .store.embedded.local_store import local_database
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
    "aio",
    "local_database",
    "now",
    "random",
    "register_error",
    "run_step",
    "sleep",
    "sleep_until",
    "step",
    "step_context",
    "to_thread",
    "uuid4",
    "workflow",
]

_HOMES = {
    ".client": ("Client",),
    ".engine.branches.context": ("StepContext", "step_context"),
    ".decorators": ("run_step", "step", "workflow"),
    ".durable_time": ("now", "sleep", "sleep_until"),
    ".engine.threads.threads": ("ThreadPoolExecutor", "to_thread"),
    ".errors": (
        "NondeterminismError",
        "PerdureError",
        "RunConflict",
        "RunFailed",
        "RunNotFound",
        "RunWasCancelled",
        "StepError",
        "StepTimeout",
    ),
    ".recorded_values": ("random", "uuid4"),
    ".serialization.failures.registered_errors": ("register_error",),
    ".retry": ("Retry",),
    ".store.embedded.local_store": ("local_database",),
    ".worker": ("Worker",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "aio":
        return import_module(".aio", __name__)
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name], __name__), name)
    # The next look finds it without this function.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
