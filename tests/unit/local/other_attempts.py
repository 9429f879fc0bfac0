"""Attempts of another command as the store has them, and real processes that execute them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from perdure.names import Claim
from perdure.process.identity import host_identity, process_started
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.runs.claim_one import Standing
from perdure.store.runs.model import RunState
from perdure.store.workers.processes import Watched


@contextmanager
def waiting_child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def standing(claim: Claim, process: Watched | None = None, claimer: ProcessIdentity | None = None) -> Standing:
    """A run that an attempt has; with a process it has begun."""
    return Standing(
        RunState.RUNNING, attempt=1, claim=claim, begun=process is not None, cancel=False, suspend=False, crashes=0,
        due_in=0.0, delay=0.0, process=process, claimer=claimer,
    )  # fmt: skip


def watched(child: subprocess.Popen[bytes]) -> Watched:
    """A child as the row of the process that has begun; its counter stands at 1."""
    started = process_started(child.pid)
    assert started is not None
    return Watched(UUID(int=7), host_identity(), child.pid, started, 1)
