"""Where one run stands, and claiming it for a process that is about to be started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg

from ...names import Claim
from ..postgres.process_identity import ProcessIdentity
from ..postgres.statements import statement
from ..workers.processes import Watched
from .model import RecordedStep, RunState, StepOutcome
from .runs import RunStore

__all__ = ["Standing", "StandingStore"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands, for a command that would run it.

    Attributes:
        attempt: the newest, from 1; 0 before there was one.
        claim: its token, while it owns the run.
        begun: whether its process has begun.
        process: that process.
        steps_done: how many steps that process has reported; 0 for a worker, which reports none.
        claimer: who is to start it, while it has not begun.
        due_in: seconds until the run may be claimed, by the server's clock; `delay` is the most that this can mean.
    """

    state: RunState
    attempt: int
    claim: Claim | None = field(repr=False)
    begun: bool
    cancel: bool
    suspend: bool
    crashes: int
    due_in: float
    delay: float
    process: Watched | None
    steps_done: int = 0
    claimer: ProcessIdentity | None = None


class StandingStore(RunStore):
    """A `RunStore` that also looks after one run."""

    def standing(self, run: UUID) -> Standing | None:
        """Where a run stands; None if it is gone."""

        def work(cursor: psycopg.Cursor[dict[str, Any]]) -> Standing | None:
            row = cursor.execute(statement("run_standing"), {"run": run}).fetchone()
            return None if row is None else _standing(row)

        return self._ask("look at the run", work)

    def recorded_steps(self, run: UUID, after: int = -1) -> list[RecordedStep]:
        """The steps of a run whose ordinals come after this one, without their values."""

        def work(cursor: psycopg.Cursor[dict[str, Any]]) -> list[RecordedStep]:
            rows = cursor.execute(statement("recorded_steps"), {"run": run, "after": after}).fetchall()
            return [RecordedStep(**{**row, "outcome": StepOutcome(row["outcome"])}) for row in rows]

        return self._ask("look at the run's steps", work)

    def claim(self, run: UUID, observed: int, claimer: ProcessIdentity) -> Claim | None:
        """Claim a run for the attempt after the observed one; None if another process did, or it may not be claimed.

        `claimer` is noted, so that its death before the attempt begins can be seen.
        """
        token = Claim(uuid4())

        def work(cursor: psycopg.Cursor[dict[str, Any]]) -> bool:
            parameters = {"run": run, "token": token, "observed": observed, "owner": None, "lock_timeout": "0"}
            claimed = cursor.execute(statement("claim_run"), parameters).fetchone() is not None
            if not claimed:
                # An earlier try of ours, whose answer was lost, may have been the one that did.
                claimed = (
                    cursor.execute(statement("claimed_attempt"), {"run": run, "token": token}).fetchone() is not None
                )
            if claimed:
                _note_claimer(cursor, run, token, claimer)
            return claimed

        return token if self._ask("claim the run", work) else None

    def note_claimer(self, run: UUID, claim: Claim, claimer: ProcessIdentity) -> None:
        """Note who is to start a claimed attempt's process, where it was not `claim` that claimed it."""
        self._ask("claim the run", lambda cursor: _note_claimer(cursor, run, claim, claimer))


def _standing(row: dict[str, Any]) -> Standing:
    process = None
    if (identifier := row.pop("process_id")) is not None:
        process = Watched(identifier, row["host"] or "", row["pid"], row["pid_started"] or 0, row["counter"])
    return Standing(
        state=RunState(row["state"]),
        attempt=row["attempt"],
        claim=row["claim"],
        begun=row["begun"],
        cancel=row["cancel"],
        suspend=row["suspend"],
        crashes=row["crashes"],
        due_in=row["due_in"],
        delay=row["delay"],
        process=process,
        steps_done=row["steps_done"] or 0,
        claimer=_claimer(row["claimer"]),
    )


def _note_claimer(cursor: psycopg.Cursor[dict[str, Any]], run: UUID, token: Claim, claimer: ProcessIdentity) -> None:
    who = f"{claimer.host}:{claimer.pid}:{claimer.pid_started}"
    cursor.execute(statement("note_claimer"), {"run": run, "token": token, "claimer": who})


def _claimer(text: str | None) -> ProcessIdentity | None:
    host, pid, started = (text or "").rsplit(":", 2) if (text or "").count(":") >= 2 else ("", "", "")
    return ProcessIdentity(UUID(int=0), host, int(pid), int(started)) if pid.isdigit() and started.isdigit() else None
