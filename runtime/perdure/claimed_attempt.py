"""An attempt that a process has claimed and begun: what pods, workers and tests execute alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from .names import RunId, Token

__all__ = ["EPOCH", "ClaimedAttempt"]

_NO_SEED: Final = UUID(int=0)
EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedAttempt:
    """The store's answer when an attempt begins.

    Attributes:
        run_id: the UUID of the run.
        id: the run's id, as its user gave it, or the Workflow's name.
        token: the right to store the attempt's outcomes. It is a secret.
        number: of the attempt in its run, from 1.
        entrypoint: of the workflow, `module:function`.
        input: the workflow's arguments, a JSON object.
        deadline_in: seconds until the run's deadline; None if it has none.
        seed: the run's secret, from which its random values and fingerprints are derived.
        cancelled: whether the run's cancellation had been requested before the attempt began.
        cleanup: seconds for which the workflow may clean up once it is cancelled, or the rest of them; None ends the
            run at once.
        clock: the store's reading of the run's clock, in microseconds since the run's first attempt began.
        read_at: when the process got that reading, by `boot_clock.boot_nanoseconds`; None: when it executes this.
        started: when the run's first attempt began, by the store's clock, where the run's clock stood at zero.
    """

    run_id: RunId
    id: str
    token: Token = field(repr=False)
    number: int
    entrypoint: str
    input: str
    deadline_in: float | None = None
    seed: UUID = _NO_SEED
    cancelled: bool = False
    cleanup: float | None = None
    clock: int = 0
    read_at: int | None = None
    started: datetime = EPOCH
