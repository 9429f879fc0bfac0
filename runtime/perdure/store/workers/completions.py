"""How a worker's attempts end, written to the store many at a time.

Every write is idempotent by the claim token, so a write whose answer was lost is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ...attempt_ends import AttemptEnd
from ...errors import StoreError
from ...names import Claim, RunId
from ..attempts.checkpoint import Answer
from ..postgres.connection import Fault, classify, storable, translated
from ..postgres.lock_waits import execute_patiently
from ..postgres.reconnecting import ReconnectingConnection
from ..postgres.statements import statement

__all__ = ["Completion", "CompletionStore", "RowLocked"]


class RowLocked(StoreError):
    """Another session holds a lock on a row of one of the runs: each is to be written alone."""


@dataclass(frozen=True, slots=True)
class Completion:
    """How an attempt ended: with the run's final `state`, or with a run that goes on elsewhere (`detail`: why)."""

    run: RunId
    claim: Claim = field(repr=False)
    state: str | None
    result: str | None = None
    error: str | None = None
    ending: AttemptEnd = AttemptEnd.RELEASED
    detail: str | None = None

    @property
    def size(self) -> int:
        """Characters of its values."""
        return len(self.result or "") + len(self.error or "") + len(self.detail or "")


class CompletionStore:
    """One connection for endings; made when needed."""

    def __init__(self, url: str, lease: float) -> None:
        self._url = url
        self._lease = lease
        self._connection = ReconnectingConnection(url, "perdure worker (endings)")

    def close(self) -> None:
        """End the connection; the next call opens another."""
        self._connection.close()

    def write(self, endings: Sequence[Completion]) -> list[Answer]:
        """Write endings. Returns an answer for each. After an error some may be written: a repeat is harmless.

        A run whose row another session has locked is left out, and its answer is `LOCKED`.

        Raises:
            RowLocked: another session has locked another row of one of the runs.
            StoreUnavailable: no answer.
            StoreError: the store refuses one of them.
        """
        answers: dict[int, Answer] = {}
        finished = [n for n, ending in enumerate(endings) if ending.state is not None]
        left = [n for n, ending in enumerate(endings) if ending.state is None]
        for places, name in ((finished, "finish_runs"), (left, "release_runs")):
            chosen = [endings[n] for n in places]
            if chosen:
                for place, answer in self._rows(name, _columns(chosen)):
                    answers[places[place - 1]] = Answer(answer)
        return [answers[n] for n in range(len(endings))]

    def write_patiently(self, ending: Completion, *, waited: float) -> Answer:
        """Write one ending whose row another session has locked, on a connection of its own; safe in any thread.

        Args:
            ending: the one to write.
            waited: seconds for which the row has been locked. From a lease on, its holder is ended.

        Raises:
            StoreUnavailable: no answer, or the row stays locked.
            StoreError: the store refuses it.
        """
        name = "finish_run" if ending.state is not None else "end_attempt"
        parameters = {
            "run": ending.run,
            "claim": ending.claim,
            "state": ending.state,
            "result": ending.result,
            "error": ending.error,
            "ending": ending.ending,
            "detail": storable(ending.detail),
        }
        doing = f"end the attempt at run {ending.run}"
        [(answer,)] = execute_patiently(
            self._url, statement(name), parameters, lease=self._lease, doing=doing, waited=waited
        )
        return Answer(answer)

    def _rows(self, name: str, columns: dict[str, object]) -> list[Any]:
        try:
            return self._connection.execute(name, columns).fetchall()
        except psycopg.Error as error:
            fault = classify(error.sqlstate)
            if fault is Fault.LOCKED:
                raise RowLocked(str(error).strip()) from error
            if fault is Fault.REFUSED:
                raise StoreError(f"the store does not take the run's outcome: {str(error).strip()}") from error
            raise translated(error, "end runs") from error


def _columns(endings: Sequence[Completion]) -> dict[str, object]:
    return {
        "runs": [e.run for e in endings],
        "claims": [e.claim for e in endings],
        "states": [e.state for e in endings],
        "results": [e.result for e in endings],
        "errors": [e.error for e in endings],
        "endings": [e.ending for e in endings],
        "details": [storable(e.detail) for e in endings],
    }
