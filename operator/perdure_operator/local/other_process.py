"""An attempt in a process of another command: where it runs, whether it lives, which command is about to start it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from perdure.local.other_attempt import Dead, OtherAttempt, Unbegun, Works
from perdure.names import Claim
from perdure.process.identity import host_identity, is_gone
from perdure.store.runs.claim_one import Standing
from perdure.store.workers.processes import Watched

from ..decide.observed import Pod, PodPhase, Run

__all__ = ["OtherProcess"]


class OtherProcess:
    """Watches the attempt of another command, on this or another machine, and represents it as a pod.

    Args:
        lease: seconds without a heartbeat after which the attempt counts as dead, or as never begun.
        now: for the times of pods.
    """

    def __init__(self, lease: float, now: Callable[[], datetime]) -> None:
        self._now = now
        self._attempt = OtherAttempt(lease)
        self.process: Watched | None = None
        self.standing: Standing | None = None
        """The claim of the run, if a process has begun it."""

    def failed(self) -> None:
        """Note that the store did not respond: earlier observations do not count any more."""
        self._attempt.failed()

    def look(self, run: Run, claim: Claim, name: str, ask: Callable[[], Standing | None]) -> tuple[Run, Pod | None]:
        """The run with its process's state, and that process as a pod. Without a pod, this command starts the attempt.

        If another command is about to start it, too, no harm is done: the store lets an attempt begin once.
        """
        asked = time.monotonic()
        standing = ask()
        self.process = self.standing = None
        pod = Pod(name, "", run.attempt, claim, PodPhase.UNKNOWN, self._now())
        if standing is None or standing.claim != claim:
            return run, pod  # the run has changed meanwhile; the next observation shows that
        match self._attempt.look(standing, claim, asked):
            case Works(process):
                self.process, self.standing = process, standing
                return replace(run, begun=True), pod
            case Dead(process, death):
                self.process, self.standing = process, standing
                return replace(run, begun=True, silent=death.detail), pod
            case Unbegun.AWAITED:
                return run, pod
            case Unbegun.CLAIMER_GONE | Unbegun.NEVER_BEGAN:
                return run, None

    def stop(self) -> None:
        """Send SIGTERM to the observed process, if it runs on this machine."""
        process = self.process
        if process is None or process.pid is None or process.host != host_identity():
            return
        with suppress(OSError):
            descriptor = os.pidfd_open(process.pid)
            try:
                # The pid may belong to another process by now; the descriptor does not.
                if not is_gone(process.host, process.pid, process.pid_started):
                    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            finally:
                os.close(descriptor)
