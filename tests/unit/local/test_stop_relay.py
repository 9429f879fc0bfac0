"""Requests to stop the command reach the process of its attempt, each once."""

from __future__ import annotations

import io
import os
import signal
from typing import Any, cast

from perdure.local.display import PlainDisplay
from perdure.local.stop_relay import StopRelay
from perdure.process.attempt_process import StopRequests


class Process:
    """Counts what `AttemptProcess` would pass on as signals."""

    def __init__(self) -> None:
        self.terminated = 0

    def terminate(self) -> None:
        self.terminated += 1


def test_each_request_is_passed_on_once_and_the_first_is_explained() -> None:
    shown = io.StringIO()
    process = Process()
    with StopRequests() as stops:
        relay = StopRelay(stops, PlainDisplay("x", shown))
        counts = []
        for number in (None, signal.SIGINT, None, signal.SIGTERM):
            if number is not None:
                os.kill(os.getpid(), number)
            relay.relay(cast("Any", process))
            counts.append(process.terminated)
    assert counts == [0, 1, 1, 2]
    assert shown.getvalue().count("stopping after the step in flight; Ctrl-C again stops at once") == 1


def test_two_requests_at_once_are_both_passed_on() -> None:
    process = Process()
    with StopRequests() as stops:
        relay = StopRelay(stops, PlainDisplay("x", io.StringIO()))
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        relay.relay(cast("Any", process))
    assert process.terminated == 2
