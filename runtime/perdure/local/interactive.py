"""The common part of `perdure run` for functions and manifests: its waits, its interruption, the display of the end."""

from __future__ import annotations

import select
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ..process.attempt_process import StopRequests
from ..process.exit_codes import ExitCode
from ..store.runs.model import RunDetail, RunState
from .display import Display, new_display
from .durations import duration

__all__ = ["ASK", "LOOK", "PATIENCE", "Interrupted", "interrupted", "show_ending", "shown", "wait"]

PATIENCE: Final = 600.0
"""Seconds for which a store that is away is waited for."""

ASK: Final = 2.0
"""Seconds that one call of the store may take, so that Ctrl-C takes effect soon."""

LOOK: Final = 0.3
"""Seconds from look to look while no process of ours works."""

_STEP: Final = 0.1
"""Seconds between two pictures on a terminal."""

_CTRL_C: Final = 130
"""Exit code after Ctrl-C, as shells have it."""


class Interrupted(Exception):
    """The person, or the system, wants the command to stop; the run can go on later."""


def interrupted(stops: StopRequests, again: Sequence[str]) -> int:
    """Print the command that goes on after `Interrupted`. Returns the command's exit code."""
    sys.stderr.write(f"perdure: interrupted; go on with: {shlex.join(again)}\n")
    return _CTRL_C if stops.first in (None, signal.SIGINT) else ExitCode.RELEASED


def wait(stops: StopRequests, display: Display, until: float) -> None:
    """Wait until then, on the monotonic clock; less after a signal to stop."""
    while not stops.count and (left := until - time.monotonic()) > 0:
        display.refresh()
        select.select([stops], [], [], min(left, _STEP))
        stops.clear()


@contextmanager
def shown(title: str) -> Iterator[Display]:
    """A display of the work meanwhile. An error closes it; else `show_ending` does."""
    display = new_display(title)
    try:
        yield display
    except BaseException:
        display.close()
        raise


def show_ending(display: Display, detail: RunDetail | None) -> None:
    """Close a display with how the run has ended, if it has."""
    if detail is None or not detail.run.state.ended:
        display.close()
        return
    run = detail.run
    took = ""
    if run.started is not None and run.finished is not None:
        took = f" after {duration((run.finished - run.started).total_seconds())}"
    attempts = f", {run.attempts} attempts" if run.attempts > 1 else ""
    display.close(f"{run.state}{took}{attempts}", well=run.state is RunState.SUCCEEDED)
