"""The store, as a supervisor speaks to it: on a connection of its own, one try at a call."""

from __future__ import annotations

from perdure.attempt_ends import AttemptEnd
from perdure.names import RunId, Token
from perdure.store.attempts.attempts import AttemptStore
from perdure.store.postgres.opener import Opener

from .channel import Progress
from .reporting import Death, Verdict

__all__ = ["StoreReporter"]


class StoreReporter:
    """Reports on one attempt that has begun.

    A call without an answer raises `StoreUnavailable` at once: the caller tries again.
    """

    def __init__(self, url: str, run_id: RunId, token: Token) -> None:
        self._store = AttemptStore(Opener(url, patience=0.0))
        self._run_id = run_id
        self._token = token

    def heartbeat(self, progress: Progress) -> Verdict:
        """Report that the attempt lives."""
        answered = self._store.heartbeat(self._run_id, self._token, progress.steps_done, progress.current_step)
        return Verdict(
            superseded=answered.superseded,
            cancel=answered.cancel,
            suspend=answered.suspend,
            at_once=answered.at_once,
        )

    def report_death(self, death: Death) -> None:
        """End the attempt as crashed."""
        self._store.release_run(
            self._run_id, self._token, AttemptEnd.CRASHED, code=death.exit_code, signal=death.signal, detail=str(death)
        )

    def release_run(self, reason: str) -> None:
        """End the attempt, to be continued elsewhere."""
        self._store.release_run(self._run_id, self._token, AttemptEnd.RELEASED, detail=reason)

    def close(self) -> None:
        """End the connection."""
        self._store.close()
