"""Runs, as their clients and administrators see them: start, find, list, cancel, delete.

Every call may be repeated, so each is: over a new connection, until it is answered or the store's patience ends.
"""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from ...attempt_ends import AttemptEnd
from ...forks import renew_in_children
from ...serialization.storable_text import is_storable
from ..postgres.connection import Fault, classify, connect, translated
from ..postgres.opener import Backoff
from ..postgres.statements import statement
from ..schema.checked_connection import open_checked
from .model import MANIFEST_OWNER, AttemptInfo, RunDetail, RunFilter, RunInfo, RunState, StepInfo, owner_of

__all__ = ["NewRun", "RunStore", "StoredInput"]

T = TypeVar("T")
Row = dict[str, Any]

PATIENCE = 10.0
"""How long a call is repeated while the store is away, in seconds."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to insert; `input` and `source` are JSON texts, `deadline` seconds from its first begin.

    Attributes:
        origin: the file of its code, where that distinguishes projects.
    """

    run_id: UUID
    owner: str
    id: str
    entrypoint: str
    input: str
    backoff_limit: int = 6
    deadline: float | None = None
    cleanup: float | None = None
    suspend: bool = False
    namespace: str = ""
    source: str | None = None
    origin: str | None = None

    @property
    def parameters(self) -> dict[str, object]:
        """Those of the statements `insert_run`; a run is also found by `owner`, `namespace` and `name`."""
        return {
            "id": self.run_id,
            "owner": self.owner,
            "namespace": self.namespace,
            "name": self.id,
            "entrypoint": self.entrypoint,
            "input": self.input,
            "source": self.source,
            "origin": self.origin,
            "backoff_limit": self.backoff_limit,
            "deadline_seconds": self.deadline,
            "cleanup_seconds": self.cleanup,
            "suspend": self.suspend,
        }


@dataclass(frozen=True, slots=True)
class StoredInput:
    """The stored run of a name."""

    run_id: UUID
    entrypoint: str
    input: str
    origin: str | None


class RunStore:
    """One connection, opened when it is needed; safe to share between threads.

    Args:
        url: of the database.
        patience: seconds for which a call is repeated while the store is away.
        ensure: sees to it that the store runs; called before each connection.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE, ensure: Callable[[], None] | None = None) -> None:
        self._url = url
        self._patience = patience
        self._ensure = ensure
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._only_own = False
        """Whether the login reads runs of the namespaces that it is bound to, and nothing else."""
        renew_in_children(self)

    def renew(self) -> None:
        """In a forked child: the next call opens a connection of its own."""
        self._lock = threading.Lock()
        self._drop()

    def close(self) -> None:
        """End the connection; the next call opens another."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def insert(self, run: NewRun) -> StoredInput:
        """Insert a run, and return the run that its name then has: this one, or an earlier one.

        Raises:
            StoreUnavailable, SchemaMismatch
        """
        parameters = run.parameters

        def work(cursor: psycopg.Cursor[Row]) -> StoredInput:
            while True:
                if cursor.execute(statement("insert_run"), parameters).fetchone():
                    return StoredInput(run.run_id, run.entrypoint, run.input, run.origin)
                # Another run has the name, or an earlier try of ours whose answer was lost; neither if just deleted.
                if found := cursor.execute(statement("find_run"), parameters).fetchone():
                    return StoredInput(found["id"], found["entrypoint"], found["input"], found["origin"])

        return self._ask("start the run", work)

    def find(self, reference: str | UUID, queue: str = "default") -> RunInfo | None:
        """The run with this id in a queue; where there is none, that of a manifest; else the one with this UUID.

        A manifest's run is named as its Workflow: `name`, or `namespace/name`; so is a cluster's for a login that is
        bound to its namespace, and it is the newest of that name.
        """

        def work(cursor: psycopg.Cursor[Row]) -> RunInfo | None:
            if isinstance(reference, str):
                if not is_storable(reference):
                    return None
                namespace, _, name = reference.rpartition("/")
                if self._only_own:
                    named = self._listed(cursor, name=name)
                    if found := [run for run in named if namespace in ("", run.namespace)]:
                        return found[0]
                elif found := (
                    self._listed(cursor, owner=owner_of(queue), name=reference)
                    or self._listed(cursor, owner=MANIFEST_OWNER, namespace=namespace or "default", name=name)
                ):
                    return found[0]
            if (run_id := _uuid(reference)) and (found := self._listed(cursor, run=run_id)):
                return found[0]
            return None

        return self._ask("find the run", work)

    def list(self, which: RunFilter) -> list[RunInfo]:
        """Runs, newest first."""
        if not all(text is None or is_storable(text) for text in (which.owner, which.id_prefix, which.entrypoint)):
            return []

        def work(cursor: psycopg.Cursor[Row]) -> list[RunInfo]:
            return self._listed(
                cursor,
                owner=which.owner,
                states=None if which.states is None else [str(state) for state in which.states],
                id_prefix=which.id_prefix,
                entrypoint=which.entrypoint,
                created_since=which.created_since,
                created_before=which.created_before,
                limit=which.limit,
                after_created=which.after and which.after.created,
                after_run=which.after and which.after.run_id,
            )

        return self._ask("list runs", work)

    def detail(self, run: UUID) -> RunDetail | None:
        """Everything that is stored of a run; one moment's view."""

        def work(cursor: psycopg.Cursor[Row]) -> RunDetail | None:
            with cursor.connection.transaction():
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                found = self._listed(cursor, run=run)
                if not found:
                    return None
                values = cursor.execute(self._reading("run_values"), {"run": run}).fetchone() or {}
                attempts = cursor.execute(self._reading("run_attempts"), {"run": run}).fetchall()
                steps = cursor.execute(self._reading("run_steps"), {"run": run}).fetchall()
            return RunDetail(
                run=found[0],
                attempts=[_attempt(row) for row in attempts],
                steps=[StepInfo(**row) for row in steps],
                **values,
            )

        return self._ask("show the run", work)

    def outcome(self, run: UUID) -> RunDetail | None:
        """As `detail`, without attempts and steps."""

        def work(cursor: psycopg.Cursor[Row]) -> RunDetail | None:
            # An outcome stays as it is; one that comes between the two reads is not seen as one yet.
            found = self._listed(cursor, run=run)
            values = cursor.execute(self._reading("run_values"), {"run": run}).fetchone()
            return RunDetail(run=found[0], attempts=[], steps=[], **values) if found and values else None

        return self._ask("show the run", work)

    def cancel(self, run: UUID, *, at_once: bool = False) -> bool:
        """Request a run's cancellation; whether it had not ended yet.

        A run that no process holds ends at once. A run that may clean up does so, by another attempt if need be, but
        not `at_once`.
        """

        def work(cursor: psycopg.Cursor[Row]) -> bool:
            return cursor.execute(statement("request_cancel"), {"run": run, "at_once": at_once}).fetchone() is not None

        return self._ask("cancel the run", work)

    def delete(self, run: UUID, *, force: bool = False) -> bool:
        """Delete an ended run, or with `force` any, with all that is stored of it; whether it was there to delete."""

        def work(cursor: psycopg.Cursor[Row]) -> bool:
            with cursor.connection.transaction():
                gone = cursor.execute(statement("delete_run"), {"run": run, "force": force}).fetchone()
                if gone is not None:
                    cursor.execute(statement("delete_history"), {"run": run, "claim": gone["claim"]})
            return gone is not None

        return self._ask("delete the run", work)

    def _ask(self, doing: str, work: Callable[[psycopg.Cursor[Row]], T]) -> T:
        backoff = Backoff(self._patience)
        while True:
            try:
                with self._lock, self._cursor() as cursor:
                    return work(cursor)
            except psycopg.Error as error:
                fault = classify(error.sqlstate)
                if fault is Fault.AWAY:
                    with self._lock:
                        self._drop()
                delay = backoff.next()
                if fault in (Fault.UNUSABLE, Fault.REFUSED) or delay is None:
                    raise translated(error, doing) from error
            time.sleep(delay)

    def _cursor(self) -> psycopg.Cursor[Row]:
        if self._connection is None:
            if self._ensure is not None:
                self._ensure()
            try:
                self._connection = open_checked(self._url)
                self._only_own = False
            except psycopg.errors.InsufficientPrivilege:
                # A login without rights to tables, which may be bound to namespaces: functions of the store show it its
                # runs.
                self._connection = connect(self._url, "perdure client")
                self._only_own = True
        return self._connection.cursor(row_factory=dict_row)

    def _reading(self, name: str) -> str:
        return statement(_OWN[name] if self._only_own else name)

    def _listed(self, cursor: psycopg.Cursor[Row], **given: object) -> builtins.list[RunInfo]:
        if self._only_own and given.get("owner") is not None:
            return []  # a queue, in which nothing is of a namespace
        rows = cursor.execute(self._reading("list_runs"), {**_NO_FILTER, **given}).fetchall()
        return [replace(RunInfo(**row), state=RunState(row["state"])) for row in rows]

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_OWN: Mapping[str, str] = {
    "list_runs": "list_own_runs",
    "run_values": "own_run_values",
    "run_attempts": "own_run_attempts",
    "run_steps": "own_run_steps",
}
"""The statements for a login that reads its own runs alone."""

_NO_FILTER: Mapping[str, object] = dict.fromkeys(
    [
        "run",
        "owner",
        "name",
        "id_prefix",
        "states",
        "entrypoint",
        "created_since",
        "created_before",
        "after_created",
        "after_run",
    ]
) | {"limit": 100, "namespace": ""}


def _uuid(reference: str | UUID) -> UUID | None:
    if isinstance(reference, UUID):
        return reference
    try:
        return UUID(reference)
    except ValueError:
        return None


def _attempt(row: Mapping[str, Any]) -> AttemptInfo:
    ending = row["ending"]
    return AttemptInfo(**{**row, "ending": None if ending is None else AttemptEnd(ending)})
