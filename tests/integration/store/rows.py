"""Runs in a store, one statement at a time: what the tests of the store's SQL speak."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from perdure.store.postgres.statements import statement
from perdure.store.schema.migrate import grants_sql
from perdure.store.schema.versions import CLIENT_VERSION
from tests.harness.databases import Database

OWNER = "queue:default"


@dataclass(slots=True)
class Attempt:
    """A claimed attempt: what its process is given, the id that the process draws, and what `begin` gives it.

    Before it has begun its process has nothing to show but the claim.
    """

    run: UUID
    claim: UUID
    process: UUID = field(default_factory=uuid4)
    token: UUID = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.token is None:
            self.token = self.claim


class Session:
    """One connection, with a method for each statement and function that tests use."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection

    def execute(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(sql, arguments or None)
        return cursor.fetchall() if cursor.description else []

    def named(self, name: str, /, **parameters: object) -> list[tuple[Any, ...]]:
        told = {"at_once": False, "cleanup_seconds": None} | parameters
        return self.connection.execute(statement(name), told).fetchall()

    def run(self, run: UUID) -> dict[str, Any]:
        """The run's row."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute("SELECT * FROM perdure.runs WHERE id = %s", [run]).fetchone()
        assert row is not None
        return row

    def insert(self, name: str | None = None, **values: object) -> UUID:
        """A new pending run."""
        run = uuid4()
        row: dict[str, object] = {
            "id": run,
            "owner": OWNER,
            "namespace": "",
            "name": name or str(run),
            "entrypoint": "bank:transfer",
            "input": "{}",
            "source": None,
            "origin": None,
            "backoff_limit": 6,
            "deadline_seconds": None,
            "suspend": False,
        }
        self.named("insert_run", **row | values)
        return run

    def claim(self, run: UUID, observed: int | None = None) -> Attempt | None:
        """Claim a run for the attempt after the observed one (default: the newest); None where somebody else did."""
        token = uuid4()
        seen = self.run(run)["attempt"] if observed is None else observed
        told = {"run": run, "token": token, "observed": seen, "owner": None, "lock_timeout": "0"}
        return Attempt(run, token) if self.named("claim_run", **told) else None

    def begin(self, attempt: Attempt, *, client: int = CLIENT_VERSION, process: UUID | None = None) -> dict[str, Any]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "SELECT * FROM perdure.begin(%s, %s, %s, %s, 'host', 42, 4242, 'node')",
                [attempt.run, attempt.claim, process or attempt.process, client],
            ).fetchone()
        assert row is not None
        attempt.token = row["token"] or attempt.token
        return row

    def begun(self, run: UUID) -> Attempt:
        """Claim and begin a run."""
        attempt = self.claim(run)
        assert attempt is not None
        assert self.begin(attempt)["answer"] == 0
        return attempt

    def checkpoint(
        self, attempt: Attempt, key: str = "charge", ordinal: int = 1, result: object = None, error: object = None
    ) -> int:
        name = key.rpartition("/")[2].partition("#")[0]
        arguments = [attempt.run, attempt.token, key, ordinal, name, 1, 0, 1000, json.dumps(result), _json(error)]
        return self._answer("checkpoint", *arguments)

    def checkpoints(self, *outcomes: tuple[Attempt, str, int]) -> list[int]:
        columns: Sequence[Sequence[object]] = [
            [attempt.run for attempt, _, _ in outcomes],
            [attempt.token for attempt, _, _ in outcomes],
            [key for _, key, _ in outcomes],
            [ordinal for _, _, ordinal in outcomes],
            [key for _, key, _ in outcomes],
            [1] * len(outcomes),
            [0] * len(outcomes),
            [1000] * len(outcomes),
            ["true"] * len(outcomes),
            [None] * len(outcomes),
        ]
        casts = ["uuid", "uuid", "text", "integer", "text", "integer", "bigint", "bigint", "text", "text"]
        arguments = ", ".join(f"%s::{cast}[]" for cast in casts)
        answers: list[int] = self.execute(f"SELECT perdure.checkpoints({arguments})", *columns)[0][0]
        return answers

    def load(self, *attempts: Attempt) -> list[tuple[Any, ...]]:
        return self.execute(
            "SELECT * FROM perdure.load(%s::uuid[], %s::uuid[])",
            [attempt.run for attempt in attempts],
            [attempt.token for attempt in attempts],
        )

    def heartbeat(self, attempt: Attempt, steps_done: int = 0, step: str | None = None) -> tuple[int, bool, bool]:
        sql = "SELECT answer, cancel, suspend FROM perdure.heartbeat(%s, %s, %s, %s)"
        [row] = self.execute(sql, attempt.run, attempt.token, steps_done, step)
        return row

    def finish(
        self, attempt: Attempt, state: str = "succeeded", result: object = None, error: Mapping[str, str] | None = None
    ) -> int:
        return self._answer("finish", attempt.run, attempt.token, state, json.dumps(result), _json(error))

    def release_run(self, attempt: Attempt, ending: str = "crashed", detail: str | None = None) -> int:
        """End an attempt as its own process does."""
        return self._answer("release_run", attempt.run, attempt.token, ending, 1, None, detail)

    def end_attempt(self, attempt: Attempt, ending: str = "crashed", detail: str | None = None) -> int:
        """End an attempt as whoever claimed it does."""
        return self._answer("end_attempt", attempt.run, attempt.claim, ending, 1, None, detail)

    def cancel(self, run: UUID) -> str | None:
        """Ask for it; the run's state afterwards, None where there was nothing to cancel."""
        rows = self.named("request_cancel", run=run)
        return rows[0][0] if rows else None

    def _answer(self, function: str, *arguments: object) -> int:
        places = ", ".join(["%s"] * len(arguments))
        [(answer,)] = self.execute(f"SELECT perdure.{function}({places})", *arguments)
        assert isinstance(answer, int)
        return answer


@contextmanager
def with_pods_role(database: Database, role: str, login: str) -> Iterator[Session]:
    """An administrator's session, while there are this role with the rights of pods and this login in it."""
    with closing(database.connect()) as connection:
        connection.execute(f"CREATE ROLE {role} NOLOGIN")
        connection.execute(f"CREATE ROLE {login} LOGIN IN ROLE {role}")
        connection.execute(grants_sql(role))
        try:
            yield Session(connection)
        finally:
            for made in (login, role):
                connection.execute(f"DROP OWNED BY {made} CASCADE")
                connection.execute(f"DROP ROLE {made}")


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)
