"""The store's calls for the attempts of a process: begin, load, finish, release, heartbeat.

Each call is idempotent by the attempt's claim or token, so a call whose answer was lost is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ...attempt_ends import AttemptEnd
from ...attempt_results import RunEnd, columns
from ...boot_clock import boot_nanoseconds
from ...claimed_attempt import EPOCH, ClaimedAttempt
from ...errors import PerdureError, SchemaMismatch, StoreChanged, StoreError, StoreUnavailable, Superseded
from ...names import Claim, RunId, Token
from ..postgres.connection import Fault, storable
from ..postgres.libpq import (
    BEGIN,
    DECLARE_CLEANUP,
    END_ATTEMPT,
    FINISH,
    HEARTBEAT,
    LOAD,
    RELEASE_RUN,
    Call,
    Parameters,
    Wire,
    WireError,
)
from ..postgres.opener import Backoff, Opener
from ..postgres.process_identity import ProcessIdentity
from ..schema.versions import CLIENT_VERSION, check_versions
from .checkpoint import Answer, Recorded, kind_of

__all__ = ["AttemptStore", "Begun", "SecondStart", "Verdict"]


_NOT_OURS = "PD003"
"""SQLSTATE that the function `load` raises for a token that owns no run."""


class SecondStart(PerdureError):
    """The attempt has begun already, in another process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun(ClaimedAttempt):
    """The answer to a pod's begin: the attempt, and requests about its run.

    Attributes:
        source: the files of the workflow's code, a JSON object; None where the code is in the image.
        namespace: of the Workflow.
        owner: of the run, such as `cluster:<UID>`.
        suspend: whether the run is suspended.
        system: the identifier of the database system that answered.
        timeline: of that server; a fail-over changes it.
        declared_cleanup: seconds of cleanup that an earlier attempt declared.
    """

    source: str | None
    namespace: str
    owner: str
    suspend: bool
    system: str
    timeline: str
    declared_cleanup: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a heartbeat."""

    superseded: bool
    cancel: bool
    suspend: bool
    at_once: bool


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _maybe(value: str | int | None) -> bytes | None:
    return None if value is None else str(value).encode()


def _uuids(values: Sequence[UUID]) -> bytes:
    return ("{" + ",".join(map(str, values)) + "}").encode()


class AttemptStore:
    """One connection for rare calls; opened when it is needed, closed by `close`."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._wire: Wire | None = None

    def adopt(self, wire: Wire | None) -> None:
        """Use a connection that is open already."""
        self.close()
        self._wire = wire

    def release(self) -> Wire | None:
        """Hand the connection over to the caller; the next call opens another."""
        wire, self._wire = self._wire, None
        return wire

    def close(self) -> None:
        """End the connection; the next call opens another."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def begin(self, run: RunId, claim: Claim, process: ProcessIdentity) -> Begun:
        """Begin a claimed attempt: trade its claim for its token.

        This works once. A repeated call from the same process, whose answer was lost, gets the same answer.

        Raises:
            Superseded: another attempt owns the run, or it is gone.
            SecondStart: the attempt runs in another process.
            SchemaMismatch: client and store do not work together.
            StoreUnavailable: no answer within the opener's patience.
            StoreError: the store refuses, such as a login that is another namespace's.
        """
        row = self._rows(
            BEGIN,
            (
                str(run).encode(),
                str(claim).encode(),
                str(process.id).encode(),
                b"%d" % CLIENT_VERSION,
                process.host.encode(),
                b"%d" % process.pid,
                b"%d" % process.pid_started,
                _maybe(process.node),
            ),
            "begin the attempt",
        )[0]
        answer = Answer(int(row[0] or 0))
        if answer in (Answer.SUPERSEDED, Answer.GONE):
            raise Superseded(f"the claim {str(claim)[:8]}... does not own run {run} (any more)")
        if answer is Answer.BEGUN_ELSEWHERE:
            raise SecondStart(f"this attempt of run {run} has begun already, in another process")
        if answer is Answer.LOGIN_OF_OTHERS:
            raise StoreError(
                f"the login of this URL is not one for pods of the namespace {_text(row[6])!r}: put the URL of that"
                " namespace's own login into the pods' Secret ('perdure logins list' shows which one it is)"
            )
        schema = int(row[1] or 0)
        if answer is Answer.CLIENT_TOO_OLD:
            raise SchemaMismatch(
                f"the store's schema (version {schema}) does not serve this client any more: upgrade perdure here"
            )
        check_versions(schema, 0)
        return Begun(
            run_id=run,
            entrypoint=_text(row[2]),
            input=_text(row[3]),
            source=row[4].decode() if row[4] is not None else None,
            id=_text(row[5]),
            namespace=_text(row[6]),
            owner=_text(row[7]),
            number=int(row[8] or 0),
            cancelled=row[9] == b"t",
            suspend=row[10] == b"t",
            deadline_in=float(row[11]) if row[11] is not None else None,
            system=_text(row[12]),
            timeline=_text(row[13]),
            seed=UUID(_text(row[14])),
            declared_cleanup=float(row[15]) if row[15] is not None else None,
            cleanup=float(row[16]) if row[16] is not None else None,
            token=Token(UUID(_text(row[17]))),
            clock=int(row[18] or 0),
            # After the answer, so that the process's reading of the run's clock is never ahead of the store's.
            read_at=boot_nanoseconds(),
            started=EPOCH + timedelta(microseconds=int(row[19] or 0)),
        )

    def load(self, runs: Sequence[tuple[RunId, Token]]) -> dict[RunId, list[Recorded]]:
        """All checkpoints of these runs, in one query.

        Raises:
            Superseded: another attempt owns one of the runs, or it is gone.
            SchemaMismatch: a newer client stored a checkpoint of a kind that this one does not know.
            StoreUnavailable: no answer within the opener's patience.
        """
        loaded: dict[RunId, list[Recorded]] = {run: [] for run, _ in runs}
        by_text = {str(run): rows for run, rows in loaded.items()}
        for row in self._rows(LOAD, (_uuids([r for r, _ in runs]), _uuids([c for _, c in runs])), "load checkpoints"):
            by_text[_text(row[0])].append(
                Recorded(
                    key=_text(row[1]),
                    ordinal=int(row[2] or 0),
                    attempt=int(row[3] or 0),
                    tries=int(row[4] or 0),
                    clock=int(row[5] or 0),
                    result=row[6].decode() if row[6] is not None else None,
                    error=row[7].decode() if row[7] is not None else None,
                    fingerprint=row[8].decode().replace("-", "") if row[8] is not None else None,
                    kind=kind_of(row[9]),
                    began=int(row[10] or 0),
                )
            )
        return loaded

    def declare_cleanup(self, run: RunId, token: Token, seconds: float | None) -> Answer:
        """Declare for how long a cancelled run may clean up, before its first step."""
        seconds_ = None if seconds is None else repr(seconds).encode()
        return self._answer(
            DECLARE_CLEANUP, (str(run).encode(), str(token).encode(), seconds_), "say how long the run may clean up"
        )

    def finish(self, run: RunId, token: Token, end: RunEnd) -> Answer:
        """End a run."""
        state, result, error = columns(end)
        return self._answer(
            FINISH,
            (str(run).encode(), str(token).encode(), state.encode(), _maybe(result), _maybe(error)),
            "end the run",
        )

    def release_run(
        self,
        run: RunId,
        token: Token,
        ending: AttemptEnd,
        *,
        code: int | None = None,
        signal: int | None = None,
        detail: str | None = None,
    ) -> Answer:
        """End one's own attempt, `crashed` or `released`, and leave the run to another."""
        return self._end(RELEASE_RUN, (str(run), str(token), ending, code, signal, storable(detail)))

    def end_attempt(self, run: RunId, claim: Claim, ending: AttemptEnd, *, detail: str | None = None) -> Answer:
        """End the attempt of a claim, for a process that does not do so itself, and leave the run to another."""
        return self._end(END_ATTEMPT, (str(run), str(claim), ending, None, None, storable(detail)))

    def _end(self, call: Call, parameters: Sequence[str | int | None]) -> Answer:
        return self._answer(call, [_maybe(one) for one in parameters], "release the run")

    def heartbeat(self, run: RunId, token: Token, steps_done: int, current_step: str | None) -> Verdict:
        """Raise the process's counter, once.

        Raises:
            StoreUnavailable: this try had no answer.
        """
        try:
            row = self._connected().rows(
                HEARTBEAT, (str(run).encode(), str(token).encode(), b"%d" % steps_done, _maybe(current_step))
            )[0]
        except (WireError, StoreChanged) as error:
            self.close()
            raise StoreUnavailable(f"heartbeat: {error}") from error
        answer = Answer(int(row[0] or 0))
        return Verdict(
            superseded=answer is not Answer.DONE, cancel=row[1] == b"t", suspend=row[2] == b"t", at_once=row[3] == b"t"
        )

    def _answer(self, call: Call, parameters: Parameters, doing: str) -> Answer:
        return Answer(int(self._rows(call, parameters, doing)[0][0] or 0))

    def _rows(self, call: Call, parameters: Parameters, doing: str) -> list[list[bytes | None]]:
        backoff = Backoff(self._opener.patience)
        while True:
            try:
                return self._connected().rows(call, parameters)
            except WireError as error:
                self.close()
                if error.fault is Fault.UNUSABLE and error.sqlstate in ("3F000", "42P01", "42883"):
                    raise SchemaMismatch(
                        f"could not {doing}: this database has no Perdure schema ({error}); run 'perdure migrate'"
                    ) from error
                if error.sqlstate == _NOT_OURS:
                    raise Superseded(f"could not {doing}: another attempt owns the run, or it is gone") from error
                if error.fault in (Fault.UNUSABLE, Fault.REFUSED):
                    raise StoreError(f"could not {doing}: {error}") from error
                delay = backoff.next()
                if delay is None:
                    raise StoreUnavailable(f"could not {doing}: the store does not answer ({error})") from error
                time.sleep(delay)

    def _connected(self) -> Wire:
        if self._wire is None:
            self._wire = self._opener.open()
        return self._wire
