"""Processes that run attempts, as the store knows them: who they are, their counters, and the runs of one that is dead.

Light to import: a worker's heartbeat is a small process that needs this module and little else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from ...attempt_ends import AttemptEnd
from ...names import Claim, RunId
from ..postgres.connection import translated
from ..postgres.lock_waits import execute_patiently
from ..postgres.process_identity import ProcessIdentity
from ..postgres.reconnecting import ReconnectingConnection
from ..postgres.statements import statement

__all__ = ["ProcessEnd", "ProcessStore", "ReleasedRuns", "Watched", "identity_parameters"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A process that holds runs, as its row shows it; one without a row has nothing but its id."""

    id: UUID
    host: str
    pid: int | None
    pid_started: int
    counter: int | None


def identity_parameters(process: ProcessIdentity, owner: str) -> dict[str, object]:
    """A process as the parameters of the statements that register it."""
    return {
        "process": process.id,
        "owner": owner,
        "host": process.host,
        "pid": process.pid,
        "pid_started": process.pid_started,
    }


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How the attempts of a dead process ended: in a word, and for people.

    Attributes:
        counter: where the process's counter stood when it was seen dead; has it moved since, nothing is given back.
        sure: the death needs no proof by the counter.
    """

    ending: AttemptEnd
    detail: str
    counter: int | None = None
    sure: bool = False


@dataclass(frozen=True, slots=True)
class ReleasedRuns:
    """How many runs were given back, and which were left because another session has locked their rows."""

    count: int
    left: list[tuple[RunId, Claim]]


class ProcessStore:
    """One connection for the row of a worker's process, and for its runs when it is dead; made when needed."""

    def __init__(self, url: str, lease: float) -> None:
        self._url = url
        self._lease = lease
        self._connection = ReconnectingConnection(url)

    def close(self) -> None:
        """End the connection; the next call opens another."""
        self._connection.close()

    def beat(self, process: ProcessIdentity, owner: str) -> list[UUID]:
        """Raise a worker's counter. Returns those of its runs whose cancellation is requested.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the store refuses.
        """
        rows = self._rows("worker_heartbeat", identity_parameters(process, owner), "heartbeat")
        return [row[0] for row in rows]

    def release(self, process: UUID, how: ProcessEnd) -> ReleasedRuns:
        """Give back the runs of a dead process, except those whose rows are locked; forget it if none is left.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the store refuses.
        """
        doing = f"give back the runs of process {process}"
        standing = {"process": process, "counter": how.counter, "sure": how.sure}
        told = {**standing, "ending": how.ending, "detail": how.detail}
        count = len(self._rows("release_process", told, doing))
        left = [(RunId(run), Claim(claim)) for run, claim in self._rows("unreleased_runs", standing, doing)]
        if not left:
            self.unregister(process, counter=None if how.sure else how.counter)
        return ReleasedRuns(count, left)

    def release_locked(self, run: RunId, claim: Claim, how: ProcessEnd, *, waited: float) -> None:
        """Give back a run whose row another session has locked; safe to call from any thread.

        Args:
            run: whose it is.
            claim: of the dead process.
            how: how its attempt ended.
            waited: seconds for which the row has been locked. From a lease on, its holder is ended.

        Raises:
            StoreUnavailable: no answer, or the row stays locked.
            StoreError: the store refuses.
        """
        parameters = {"run": run, "claim": claim, "ending": how.ending, "detail": how.detail}
        doing = f"give back run {run} of a dead process"
        execute_patiently(
            self._url, statement("end_attempt"), parameters, lease=self._lease, doing=doing, waited=waited
        )

    def unregister(self, process: UUID, *, counter: int | None = None) -> None:
        """Forget a process that holds no run.

        Raises:
            StoreUnavailable: no answer.
        """
        self._execute("unregister_process", {"process": process, "counter": counter}, "forget a process")

    def sweep(self, owner: str) -> None:
        """Forget all workers that hold no run.

        Raises:
            StoreUnavailable: no answer.
        """
        self._execute("sweep_processes", {"owner": owner}, "forget processes")

    def _rows(self, name: str, parameters: Mapping[str, object], doing: str) -> list[Any]:
        return self._cursor(name, parameters, doing).fetchall()

    def _execute(self, name: str, parameters: Mapping[str, object], doing: str) -> None:
        self._cursor(name, parameters, doing)

    def _cursor(self, name: str, parameters: Mapping[str, object], doing: str) -> psycopg.Cursor[Any]:
        try:
            return self._connection.execute(name, parameters)
        except psycopg.Error as error:
            raise translated(error, doing) from error
