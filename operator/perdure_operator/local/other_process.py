"""An attempt in a process of another command: where it runs, whether it lives, which command is about to start it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from perdure.names import Claim
from perdure.process.identity import host_identity, is_gone
from perdure.process.liveness import ProcessFailureDetector
from perdure.store.runs.claim_one import Standing
from perdure.store.workers.processes import Watched

from ..decide.observed import Pod, PodPhase, Run

__all__ = ["OtherProcess"]


@dataclass(frozen=True, slots=True)
class _Unbegun:
    claim: Claim = field(repr=False)
    since: float


class OtherProcess:
    """Watches the attempt of another command, on this or another machine, and represents it as a pod.

    Args:
        lease: seconds without a heartbeat after which the attempt counts as dead, or as never begun.
        now: for the times of pods.
    """

    def __init__(self, lease: float, now: Callable[[], datetime]) -> None:
        self._lease = lease
        self._now = now
        self._observer = ProcessFailureDetector(lease, lease / 2, is_gone)
        self._unbegun: _Unbegun | None = None
        self.process: Watched | None = None
        self.standing: Standing | None = None
        """The claim of the run, if a process has begun it."""

    def failed(self) -> None:
        """Note that the store did not respond: earlier observations do not count any more."""
        self._observer.failed()
        self._unbegun = None

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
        if not standing.begun or standing.process is None:
            return run, pod if self._awaited(claim, standing) else None
        self.process, self.standing = standing.process, standing
        deaths = self._observer.read(asked, time.monotonic(), [standing.process])
        return replace(run, begun=True, silent=deaths[0].detail if deaths else None), pod

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

    def _awaited(self, claim: Claim, standing: Standing) -> bool:
        claimer = standing.claimer
        if claimer is not None and is_gone(claimer.host, claimer.pid, claimer.pid_started):
            return False
        now = time.monotonic()
        if self._unbegun is None or self._unbegun.claim != claim:
            self._unbegun = _Unbegun(claim, now)
        return now - self._unbegun.since < self._lease
