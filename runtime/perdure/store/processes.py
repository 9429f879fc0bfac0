"""Processes that run attempts, as the store knows them: who they are, their counters, and the runs of one that is dead.

Light to import: a worker's heartbeat is a small process that needs this module and little else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from .connection import translated
from .contention import execute_patiently
from .kept import KeptConnection
from .process_identity import ProcessIdentity
from .statements import statement

__all__ = ["ProcessStore", "Watched", "identity_parameters"]


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


class ProcessStore:
    """One connection for the row of a worker's process, and for its runs when it is dead; made when needed."""

    def __init__(self, url: str, lease: float) -> None:
        self._url = url
        self._lease = lease
        self._connection = KeptConnection(url)

    def close(self) -> None:
        """End the connection; the next call opens another."""
        self._connection.close()

    def beat(self, process: ProcessIdentity, owner: str) -> list[UUID]:
        """Raise a worker's counter. Returns those of its runs whose cancellation is asked for.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the store refuses.
        """
        rows = self._rows("worker_heartbeat", identity_parameters(process, owner), "heartbeat")
        return [row[0] for row in rows]

    def release(
        self, process: UUID, *, ending: str, detail: str, counter: int | None = None, sure: bool = False
    ) -> int:
        """Give back the runs of a dead process, and forget it. Returns how many they were.

        Args:
            process: its id.
            ending: how its attempts ended.
            detail: the same for people.
            counter: where it stood when the process was seen dead; has it moved since, nothing is done.
            sure: the death needs no proof by the counter.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the store refuses.
        """
        doing = f"give back the runs of process {process}"
        how = {"ending": ending, "detail": detail}
        parameters = {"process": process, "counter": counter, "sure": sure, **how}
        count = len(self._rows("release_process", parameters, doing))
        standing = {"process": process, "counter": counter, "sure": sure}
        # What is left has its row locked by somebody.
        for run, claim in self._rows("unreleased_runs", standing, doing):
            patiently = f"give back run {run} of process {process}"
            one = {"run": run, "claim": claim, **how}
            execute_patiently(self._url, statement("hand_back"), one, lease=self._lease, doing=patiently)
            count += 1
        self.unregister(process, counter=None if sure else counter)
        return count

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
