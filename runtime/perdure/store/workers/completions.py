"""How a worker's attempts end, written to the store many at a time.

Every write is idempotent by the claim token, so a write whose answer was lost is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

import psycopg

from ...attempt_ends import AttemptEnd
from ...attempt_results import Cancelled, Crashed, Failed, Released, RunEnd, Succeeded, columns
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
    """How the attempt of a claim ended, as far as the store is told: with its run, or so that the run goes on."""

    run: RunId
    claim: Claim = field(repr=False)
    end: RunEnd | Released | Crashed

    @property
    def size(self) -> int:
        """Characters of its values."""
        match self.end:
            case Succeeded() | Failed() | Cancelled():
                return sum(len(value or "") for value in columns(self.end)[1:])
            case Released(why) | Crashed(why):
                return len(why)
            case _:
                assert_never(self.end)


class CompletionStore:
    """One connection for endings; made when needed."""

    def __init__(self, url: str, lease: float) -> None:
        self._url = url
        self._lease = lease
        self._connection = ReconnectingConnection(url, "perdure worker (endings)")

    def close(self) -> None:
        """End the connection; the next call opens another."""
        self._connection.close()

    def write(self, completions: Sequence[Completion]) -> list[Answer]:
        """Write endings. Returns an answer for each. After an error some may be written: a repeat is harmless.

        A run whose row another session has locked is left out, and its answer is `LOCKED`.

        Raises:
            RowLocked: another session has locked another row of one of the runs.
            StoreUnavailable: no answer.
            StoreError: the store refuses one of them.
        """
        answers: dict[int, Answer] = {}
        places: dict[str, list[int]] = {}
        writes = [_write_of(one) for one in completions]
        for n, write in enumerate(writes):
            places.setdefault(write.many, []).append(n)
        for name, chosen in places.items():
            given: dict[str, object] = {
                f"{key}s": [writes[n].parameters[key] for n in chosen] for key in writes[chosen[0]].parameters
            }
            for place, answer in self._rows(name, given):
                answers[chosen[place - 1]] = Answer(answer)
        return [answers[n] for n in range(len(completions))]

    def write_patiently(self, completion: Completion, *, waited: float) -> Answer:
        """Write one ending whose row another session has locked, on a connection of its own; safe in any thread.

        Args:
            completion: the one to write.
            waited: seconds for which the row has been locked. From a lease on, its holder is ended.

        Raises:
            StoreUnavailable: no answer, or the row stays locked.
            StoreError: the store refuses it.
        """
        write = _write_of(completion)
        doing = f"end the attempt at run {completion.run}"
        [(answer,)] = execute_patiently(
            self._url, statement(write.one), write.parameters, lease=self._lease, doing=doing, waited=waited
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


@dataclass(frozen=True, slots=True)
class _Write:
    """The statements that write such a completion, together with others and alone.

    `parameters` are those of the statement for one. The statement for many has a column for each, named in the plural.
    """

    many: str
    one: str
    parameters: dict[str, object]


def _write_of(completion: Completion) -> _Write:
    attempt: dict[str, object] = {"run": completion.run, "claim": completion.claim}
    match completion.end:
        case Succeeded() | Failed() | Cancelled():
            state, result, error = columns(completion.end)
            return _Write("finish_runs", "finish_run", attempt | {"state": state, "result": result, "error": error})
        case Released(why):
            left = {"ending": AttemptEnd.RELEASED, "detail": storable(why)}
            return _Write("release_runs", "end_attempt", attempt | left)
        case Crashed(why):
            left = {"ending": AttemptEnd.CRASHED, "detail": storable(why)}
            return _Write("release_runs", "end_attempt", attempt | left)
        case _:
            assert_never(completion.end)
