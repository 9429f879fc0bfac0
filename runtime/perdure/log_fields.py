"""Log records carry the run, attempt and step they come from: `perdure_run`, `perdure_attempt`, `perdure_step`.

Outside of a run they are empty, so that a format which names them works everywhere.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from threading import Lock

from .engine.branches.context import CURRENT, StepContext

__all__ = ["install"]

_lock = Lock()
os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001
_installed: Callable[..., logging.LogRecord] | None = None


def install() -> None:
    """Have every log record of this process carry these fields. Record factories installed before go on working."""
    global _installed  # noqa: PLW0603 the factory is the process's, too
    with _lock:
        if _installed is not None:
            return
        before = logging.getLogRecordFactory()

        def marked(*args: object, **kwargs: object) -> logging.LogRecord:
            record = before(*args, **kwargs)
            run, attempt, step = _place()
            record.perdure_run = run
            record.perdure_attempt = attempt
            record.perdure_step = step
            return record

        _installed = marked
        logging.setLogRecordFactory(marked)


def _place() -> tuple[str, int | str, str]:
    current = CURRENT.get()
    if current is None:
        return "", "", ""
    if isinstance(current, StepContext):
        attempt, step = current.branch.attempt, current.step_key
    else:
        attempt, step = current.attempt, ""
    return str(attempt.run_id), attempt.number, step
