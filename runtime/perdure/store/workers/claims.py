"""A worker's calls of the store: claim runs in bulk, survey the others, and receive notifications of new work.

No call is repeated by itself: the worker decides when. A claim whose answer was lost is found by its tokens.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ...boot_clock import boot_nanoseconds
from ...claimed_attempt import ClaimedAttempt
from ...errors import StoreUnavailable
from ...names import Claim, RunId, Token
from ..postgres.connection import connect, translated
from ..postgres.portions import MOST_TEXT
from ..postgres.process_identity import ProcessIdentity
from ..postgres.statements import statement
from ..schema.versions import check_versions
from .processes import Watched, identity_parameters

__all__ = ["Claimed", "ClaimedRun", "Claims", "Delayed", "Entrypoints", "FreeSlots", "NotificationConnection", "Survey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRun(ClaimedAttempt):
    """The attempt that a worker has claimed and begun at once. Its token is the claim, which no other process knows.

    Attributes:
        claim: of the attempt.
        crashes: attempts before it that ended in a crash, since the last new checkpoint.
        recorded_bytes: of the values of the run's checkpoints.
    """

    claim: Claim = field(repr=False)
    crashes: int = 0
    recorded_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Claimed:
    """The claimed runs, and whether more would have been claimed but for the bytes of their input."""

    runs: list[ClaimedRun]
    more: bool


@dataclass(frozen=True, slots=True)
class FreeSlots:
    """How many runs there is room for, of each kind of workflow, and of those that crashed repeatedly."""

    async_runs: int = 0
    sync_runs: int = 0
    suspects: int = 0

    @property
    def total(self) -> int:
        """Runs in all."""
        return self.async_runs + self.sync_runs + self.suspects


@dataclass(frozen=True, slots=True)
class Entrypoints:
    """The workflows that a worker knows.

    Attributes:
        origins: the files that they are in, where several projects share the database; else None.
    """

    async_ones: list[str]
    sync_ones: list[str]
    cleanups: dict[str, float] = field(default_factory=dict)
    """Seconds for which those that clean up may do so."""
    origins: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Delayed:
    """A run that waits out a delay: `delay` in all, `due_in` left by the server's clock; in seconds."""

    run: RunId
    attempt: int
    crashes: int
    delay: float
    due_in: float


@dataclass(slots=True)
class Survey:
    """What there was besides the runs that this process works on."""

    ready: bool = False
    suspect: bool = False
    delayed: list[Delayed] = field(default_factory=list)
    processes: list[Watched] = field(default_factory=list)
    held: dict[Claim, RunId] = field(default_factory=dict)


class Claims:
    """One connection for claims; made when needed, and given up with the first error on it.

    Attributes:
        system: the database system that answers, of the last connection made.
    """

    def __init__(self, url: str, owner: str, process: ProcessIdentity, entrypoints: Entrypoints) -> None:
        self._url = url
        self._owner = owner
        self._process = process
        self._entrypoints = entrypoints
        self._connection: psycopg.Connection[dict[str, Any]] | None = None
        self._lost: list[UUID] = []
        self.system = ""

    def close(self) -> None:
        """End the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def check(self) -> None:
        """Connect.

        Raises:
            SchemaMismatch: client and schema do not work together.
            StoreUnavailable: no answer.
            StoreError: the store refuses.
        """
        self._rows("versions", {}, "start the worker")

    def claim(self, free: FreeSlots, due: Sequence[RunId]) -> Claimed:
        """Claim pending runs, at most as many as slots are free; those in `due` before the server allows.

        Raises:
            StoreUnavailable: no answer; the next call finds the claimed runs.
            StoreError: the store refuses.
        """
        found = self._recover()
        tokens = [uuid4() for _ in range(free.total)]
        self._lost.extend(tokens)
        rows = self._rows(
            "claim_runs",
            {
                **identity_parameters(self._process, self._owner),
                "where": f"{self._process.host}:{self._process.pid}",
                "async_entrypoints": self._entrypoints.async_ones,
                "sync_entrypoints": self._entrypoints.sync_ones,
                "origins": self._entrypoints.origins,
                "async_places": free.async_runs,
                "sync_places": free.sync_runs,
                "suspects": free.suspects,
                "tokens": tokens,
                "due": list(due),
                "bytes": MOST_TEXT,
                "cleaning_entrypoints": list(self._entrypoints.cleanups),
                "cleanup_seconds": list(self._entrypoints.cleanups.values()),
            },
            "claim runs",
        )
        self._lost.clear()
        return Claimed(found + [_claimed(row) for row in rows], more=any(row["more"] for row in rows))

    def _recover(self) -> list[ClaimedRun]:
        """What claims got whose answers were lost."""
        if not self._lost:
            return []
        parameters = {"tokens": self._lost, "process": self._process.id}
        found = [_claimed(row) for row in self._rows("claimed_runs", parameters, "find out what was claimed")]
        self._lost.clear()
        return found

    def survey(self, *, full: bool) -> Survey:
        """Survey work and other processes; `full`: also the runs that this process holds by the store's rows.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the store refuses.
        """
        entrypoints = [*self._entrypoints.async_ones, *self._entrypoints.sync_ones]
        parameters = {
            "owner": self._owner,
            "process": self._process.id,
            "entrypoints": entrypoints,
            "full": full,
            "origins": self._entrypoints.origins,
        }
        survey = Survey()
        for row in self._rows("survey", parameters, "look for runs"):
            match row["what"]:
                case "ready":
                    survey.ready = True
                case "suspect":
                    survey.suspect = True
                case "delayed":
                    survey.delayed.append(
                        Delayed(RunId(row["id"]), row["attempt"], row["crashes"], row["delay"], row["due_in"])
                    )
                case "process":
                    survey.processes.append(
                        Watched(row["id"], row["host"] or "", row["pid"], row["pid_started"] or 0, row["counter"])
                    )
                case _:
                    survey.held[Claim(row["claim"])] = RunId(row["id"])
        return survey

    def cancelled(self, runs: Sequence[RunId]) -> dict[RunId, bool]:
        """Of these runs of this process, those whose cancellation is requested, and whether without cleaning up.

        Raises:
            StoreUnavailable: no answer.
        """
        parameters = {"runs": list(runs), "process": self._process.id}
        rows = self._rows("cancelled_runs", parameters, "look for cancelled runs")
        return {RunId(row["id"]): row["at_once"] for row in rows}

    def _rows(self, name: str, parameters: dict[str, object], doing: str) -> list[dict[str, Any]]:
        try:
            return self._connected().execute(statement(name), parameters).fetchall()
        except psycopg.Error as error:
            # After any error the next call starts from a connection that is known to be good.
            self.close()
            raise translated(error, doing) from error

    def _connected(self) -> psycopg.Connection[dict[str, Any]]:
        if self._connection is None:
            connection = connect(self._url, "perdure worker")
            try:
                connection.row_factory = dict_row  # type: ignore[assignment]
                made: psycopg.Connection[dict[str, Any]] = connection  # type: ignore[assignment]
                version = made.execute(statement("versions")).fetchone()
                if version is None:
                    raise StoreUnavailable("the store has no version yet: it is being migrated")
                check_versions(version["schema_version"], version["oldest_client"])
                found = made.execute(statement("system_identifier")).fetchone()
                self.system = found["system_identifier"] if found else ""
            except BaseException:
                connection.close()
                raise
            self._connection = made
        return self._connection


def _claimed(row: dict[str, Any]) -> ClaimedRun:
    claim = Claim(row["claim"])
    return ClaimedRun(
        run_id=RunId(row["id"]),
        id=row["name"],
        token=Token(claim),
        number=row["attempt"],
        entrypoint=row["entrypoint"],
        input=row["input"],
        deadline_in=row["deadline_in"],
        seed=row["seed"],
        cancelled=row["cancel"],
        cleanup=row["cleanup"],
        claim=claim,
        crashes=row["crashes"],
        recorded_bytes=int(row["recorded_bytes"] or 0),
        clock=row["clock"],
        read_at=boot_nanoseconds(),
        started=row["started"],
    )


class NotificationConnection:
    """A connection that receives notifications of new work and cancellations. It needs a session: no pooler in between.

    Raises:
        StoreUnavailable: no connection can be made.
        StoreError: the store refuses.
    """

    def __init__(self, url: str, owner: str) -> None:
        try:
            self._connection = connect(url, "perdure worker (listens)")
        except psycopg.Error as error:
            raise translated(error, "listen for work") from error
        self._woken, self._wake = os.pipe()
        try:
            [(channel,)] = self._connection.execute(statement("work_channel"), {"owner": owner}).fetchall()
            self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(str(channel))))
        except psycopg.Error as error:
            self.close()
            raise translated(error, "listen for work") from error

    def hear(self) -> list[UUID]:
        """Wait for a notification, or until `stop`. Returns the runs that were named.

        Raises:
            StoreUnavailable: the connection is gone; notifications sent meanwhile are lost.
        """
        heard = self._notified()
        if not heard:
            poll = select.poll()
            poll.register(self._connection.fileno(), select.POLLIN)
            poll.register(self._woken, select.POLLIN)
            poll.poll()
            heard = self._notified()
        return heard

    def _notified(self) -> list[UUID]:
        try:
            # A generator with a timeout of 0 yields the notifications that have arrived, without waiting.
            return [UUID(note.payload) for note in self._connection.notifies(timeout=0)]
        except (psycopg.Error, ValueError) as error:
            raise StoreUnavailable(f"listen for work: {str(error).strip()}") from error

    def stop(self) -> None:
        """Have the wait return, from any thread."""
        os.write(self._wake, b"x")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()
        os.close(self._woken)
        os.close(self._wake)
