"""Passes requests to stop this command on to the process of its attempt."""

from __future__ import annotations

from ..process.attempt_process import AttemptProcess, StopRequests
from .display import Display

__all__ = ["StopRelay"]


class StopRelay:
    """Passes each request on once: the process may finish its step after the first, and ends at once after the second.

    Args:
        stops: requests to stop this command.
        display: explains the wait for the step.
    """

    def __init__(self, stops: StopRequests, display: Display) -> None:
        self._stops = stops
        self._display = display
        self._relayed = 0

    def relay(self, process: AttemptProcess) -> None:
        """Pass on what has come since the last call."""
        while self._relayed < self._stops.count:
            self._relayed += 1
            process.terminate()
            if self._relayed == 1:
                self._display.waiting("stopping after the step in flight; Ctrl-C again stops at once", None)
