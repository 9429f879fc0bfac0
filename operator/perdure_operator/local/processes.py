"""The processes of this command's attempts. Each is represented as a pod, which it replaces."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from perdure.local.display import Display
from perdure.local.stop_relay import StopRelay
from perdure.names import Claim
from perdure.process.attempt_process import AttemptProcess, StopRequests
from perdure.process.exit_codes import ExitCode

from ..decide.observed import ContainerEnd, Pod, PodPhase

__all__ = ["LocalPods"]

_STEP: Final = 0.1
"""Seconds between two checks of deadlines, and between two frames on a terminal."""

_LAST: Final = 5.0
"""Seconds that a process has to end once this command does not need it any more."""


@dataclass(slots=True)
class _LocalPod:
    pod: Pod
    process: AttemptProcess
    kill_at: float | None = None


class LocalPods:
    """Starts processes, waits for them, and ends them.

    Args:
        display: for messages and progress.
        stops: requests to stop this command, which are passed on to the process; it may finish its step.
        grace: seconds from SIGTERM to SIGKILL.
        now: for the times of pods.
    """

    def __init__(self, display: Display, stops: StopRequests, grace: float, now: Callable[[], datetime]) -> None:
        self._display = display
        self._stops = stops
        self._grace = grace
        self._now = now
        self._living: _LocalPod | None = None
        self._ended: dict[str, Pod] = {}
        self._news = False
        self._relay = StopRelay(stops, display)

    @property
    def alive(self) -> bool:
        """Whether a process of this command runs."""
        return self._living is not None

    def pods(self) -> list[Pod]:
        """All started processes, but for deleted ones."""
        return [*self._ended.values(), *([self._living.pod] if self._living else [])]

    def start(self, name: str, attempt: int, claim: Claim, environment: Mapping[str, str]) -> None:
        """Start the process of a claimed attempt.

        Raises:
            OSError: it cannot be started.
        """
        assert self._living is None, "one attempt at a time"
        process = AttemptProcess(environment, self._event, self._display.output if self._display.live else None)
        started = self._now()
        self._living = _LocalPod(
            Pod(name, f"{name} {claim}", attempt, claim, PodPhase.RUNNING, started, progressed=started), process
        )

    def delete(self, uid: str) -> bool:
        """End a process, which may first finish its step, or forget an ended one. False if it is unknown."""
        if self._ended.pop(uid, None) is not None:
            return True
        living = self._living
        if living is None or living.pod.uid != uid:
            return False
        if living.kill_at is None:
            self._end(living)
        return True

    def work(self, seconds: float) -> None:
        """Wait for so many seconds, or until an attempt has begun, or its process has ended."""
        ends = time.monotonic() + seconds
        self._news = False
        while (living := self._living) is not None and not self._news and (left := ends - time.monotonic()) > 0:
            code = living.process.wait(self._stops, min(left, _STEP) if self._hurried(living) else left)
            if code is not None:
                self._take(living, code)
                return
            self._heed(living)
            self._display.refresh()

    def close(self) -> None:
        """End all processes, with SIGKILL if they do not end by themselves."""
        ends = time.monotonic() + _LAST
        if (living := self._living) is not None:
            living.process.terminate()
            while (code := living.process.wait(self._stops, _STEP)) is None:
                if time.monotonic() > ends:
                    living.process.kill()
            self._take(living, code)

    def _hurried(self, living: _LocalPod) -> bool:
        return self._display.live or living.kill_at is not None

    def _event(self, event: dict[str, Any]) -> None:
        self._display.event(event)
        self._news = self._news or event.get("event") == "begun"

    def _heed(self, living: _LocalPod) -> None:
        """Pass requests to stop on to the process, and kill it after the grace period."""
        self._relay.relay(living.process)
        if living.kill_at is not None and time.monotonic() >= living.kill_at:
            living.kill_at = None
            self._display.note(f"attempt {living.pod.attempt} did not end within its grace period, and is killed")
            living.process.kill()

    def _end(self, living: _LocalPod) -> None:
        living.process.terminate()
        living.kill_at = time.monotonic() + self._grace
        living.pod = replace(living.pod, deleting=True)

    def _take(self, living: _LocalPod, code: int) -> None:
        """Note how a process has ended."""
        living.process.close()
        self._living = None
        self._display.attempt_ended()
        if code == ExitCode.SECOND_START:
            # The attempt runs in another process. In a cluster there would be no second pod for it.
            return
        ended = ContainerEnd(code if code >= 0 else 128 - code, "Error" if code else "Completed")
        phase = PodPhase.FAILED if code else PodPhase.SUCCEEDED
        self._ended[living.pod.uid] = replace(living.pod, phase=phase, end=ended, finished_at=self._now())
