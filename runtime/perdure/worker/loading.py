"""The checkpoints of runs that go on here: many runs in one statement, up to so many bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import StoreError, Superseded
from ..names import RunId
from ..store.attempts.attempts import AttemptStore
from ..store.attempts.checkpoint import Recorded
from ..store.postgres.opener import Opener
from ..store.postgres.portions import portion
from ..store.workers.claims import ClaimedRun

__all__ = ["Loaded", "load_checkpoints"]

_PATIENCE = 5.0


@dataclass(slots=True)
class Loaded:
    """The checkpoints of each run; the runs that another attempt has by now; and the error of all the rest."""

    recorded: dict[RunId, list[Recorded]] = field(default_factory=dict)
    superseded: list[RunId] = field(default_factory=list)
    error: StoreError | None = None


def load_checkpoints(url: str, system: str, runs: Sequence[ClaimedRun]) -> Loaded:
    """Load the checkpoints of runs that this process has claimed, from this database system."""
    loaded = Loaded()
    store = AttemptStore(Opener(url, system=system, patience=_PATIENCE))
    left = list(runs)
    try:
        while left:
            count = portion((run.recorded_bytes for run in left), len(left))
            _load(store, left[:count], loaded)
            left = left[count:]
    except StoreError as error:
        loaded.error = error
    finally:
        store.close()
    return loaded


def _load(store: AttemptStore, runs: Sequence[ClaimedRun], loaded: Loaded) -> None:
    try:
        loaded.recorded |= store.load([(run.run_id, run.token) for run in runs])
    except Superseded:
        if len(runs) == 1:
            loaded.superseded.append(runs[0].run_id)
            return
        for run in runs:
            _load(store, [run], loaded)
