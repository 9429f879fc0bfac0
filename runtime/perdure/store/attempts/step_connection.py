"""Connections of database steps: psycopg connections on which a step cannot end its transaction.

All settings are local to a transaction, so the connections need no session of their own behind a pooler.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.rows import tuple_row

from ...errors import TransactionError
from ...forks import close_in_children
from ..postgres.connection import Fault, classify, conninfo
from ..postgres.libpq import Parameters, WireError
from ..postgres.statements import statement

__all__ = [
    "COMMIT",
    "RENEW",
    "ROLLBACK",
    "AsyncStepConnection",
    "Connection",
    "Limits",
    "Query",
    "StepConnection",
    "begin",
    "checkpoint",
    "end_older_transactions",
    "is_conflict",
    "marked_checkpoint",
]

RV = TypeVar("RV")
Row = tuple[Any, ...]

_Status = pq.TransactionStatus
_CONFLICTS = ("40001", "40P01")
_IDLE_TOO_LONG = "25P03"
_POLLRDHUP: int = getattr(select, "POLLRDHUP", 0)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement of Perdure. Without parameters it may be several statements; the row is that of the last one."""

    text: str
    parameters: Sequence[str | None] | Mapping[str, str] | None = None


COMMIT = Query("COMMIT")
ROLLBACK = Query("ROLLBACK")
RENEW = Query("DISCARD ALL")
"""Resets the session: settings that one attempt's steps have made must not affect another's."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of a transaction while a step's body runs, in seconds."""

    statement: float
    lock: float
    idle: float


def application_name(run: UUID, attempt: int) -> str:
    """The application_name of an attempt's transactions in pg_stat_activity."""
    return f"perdure {run} {attempt}"


def begin(run: UUID, attempt: int, marker: str, limits: Limits) -> Query:
    """Begin a transaction. Its row: the database system's identifier, and whether the server takes writes."""
    settings = {
        "perdure.step": marker,
        "application_name": application_name(run, attempt),
        "statement_timeout": _milliseconds(limits.statement),
        "lock_timeout": _milliseconds(limits.lock),
        "idle_in_transaction_session_timeout": _milliseconds(limits.idle),
    }
    # No value here comes from a user. Both statements take one round trip as one text, which can have no parameters.
    local = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    columns = f"system_identifier::text, current_setting('transaction_read_only') = 'off', {local}"
    return Query(f"BEGIN; SELECT {columns} FROM pg_control_system()")  # noqa: S608 - as above


def checkpoint(parameters: Parameters) -> Query:
    """Store a step's outcome in the transaction; the row is the store's answer."""
    places = ", ".join(["%s"] * len(parameters))
    return Query(f"SELECT perdure.checkpoint({places})", _texts(parameters))


def marked_checkpoint(parameters: Parameters, marker: str, lease: float) -> Query:
    """As `checkpoint`, as the last statement before COMMIT; -1 if this is not the transaction of `marker`.

    From here on the run's row is locked. If this process is paused now, the server ends the transaction after a lease.
    """
    places = ", ".join(["%s"] * len(parameters))
    return Query(
        "SELECT CASE WHEN pg_catalog.current_setting('perdure.step', true) = %s"
        f" THEN perdure.checkpoint({places}) ELSE -1 END,"
        " pg_catalog.set_config('idle_in_transaction_session_timeout', %s, true)",
        [marker, *_texts(parameters), _milliseconds(lease)],
    )


def end_older_transactions(run: UUID, attempt: int) -> Query:
    """End the backends that run database steps of a run's attempts before `attempt`; the row counts them.

    A claimer that meets a lock uses this, too. Postgres shows and ends a backend only for the backend's own role, for a
    member of that role, or for a role that has pg_signal_backend and pg_read_all_stats.
    """
    return Query(statement("end_older_transactions"), {"run": str(run), "attempt": str(attempt)})


def is_conflict(error: BaseException | None) -> bool:
    """Whether Postgres undid a transaction because of concurrent ones, so that it may succeed when it is run again."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _CONFLICTS


def _milliseconds(seconds: float) -> str:
    return str(max(1, min(2**31 - 1, round(seconds * 1000))))


def _texts(parameters: Parameters) -> list[str | None]:
    return [None if value is None else value.decode() for value in parameters]


class _Phase(Enum):
    OURS = auto()
    LENT = auto()
    OVER = auto()


class _Guard:
    """The common part of both kinds of connection: which step may use it, and how that step's use of it ended."""

    pgconn: pq.abc.PGconn
    prepare_threshold: int | None
    _phase = _Phase.OURS
    _step = ""
    _failure: psycopg.Error | None = None
    violation: TransactionError | None = None
    """The error of a step that ended its transaction, or tried to: the step's outcome, even if the body returns."""
    abandoned = False
    """Whether a thread that could not be stopped may still use the connection."""
    held_by: str | None = None
    """The library that has a transaction of its own, a savepoint, open in the step's."""

    def lend(self, step: str) -> None:
        """Let a step's body use the connection, in the transaction that is open."""
        self._step, self._phase = step, _Phase.LENT
        self._failure = self.violation = self.held_by = None

    def take_back(self) -> None:
        """End the use by the body, which has ended."""
        if not self.abandoned:
            self._phase = _Phase.OURS
        if not self.lost and self.pgconn.transaction_status == _Status.IDLE:
            self._ended(None)

    def rest(self) -> None:
        """Forbid all use of the connection until `wake`."""
        self._phase = _Phase.OVER

    def wake(self) -> None:
        """Allow the use of the connection again."""
        self._phase = _Phase.OURS

    @property
    def lost(self) -> bool:
        """Whether the connection is broken, or about to be."""
        return self.pgconn.status != pq.ConnStatus.OK or (self._failure is not None and _is_fatal(self._failure))

    @property
    def hung_up(self) -> bool:
        """Whether the server has ended the connection, by the state of the socket; called in any thread."""
        try:
            return self.pgconn.status != pq.ConnStatus.OK or _hung_up(
                self.pgconn.socket, getattr(select, "POLLRDHUP", 0)
            )
        except (psycopg.Error, OSError):
            return True

    def renew(self) -> None:
        """Reset settings that another attempt's steps left on this object; `RENEW` resets those of the session."""
        kept: Any = self  # psycopg has no public names for these
        kept._adapters = None  # noqa: SLF001
        kept._notice_handlers.clear()  # noqa: SLF001
        kept._notify_handlers.clear()  # noqa: SLF001

    @property
    def usable(self) -> bool:
        """Whether a statement can be executed: the connection stands, and nothing is under way on it."""
        status = self.pgconn.transaction_status
        return not self.lost and status != _Status.ACTIVE and self.pgconn.pipeline_status == pq.PipelineStatus.OFF

    @property
    def failure(self) -> psycopg.Error | None:
        """The error by which Postgres aborted the transaction, or broke the connection, while it was lent."""
        if self.lost or self.pgconn.transaction_status == _Status.INERROR:
            return self._failure
        return None

    @property
    def idled_out(self) -> bool:
        """Whether the server ended the connection because the step left its transaction idle for too long."""
        return self._failure is not None and self._failure.sqlstate == _IDLE_TOO_LONG

    def unfinished(self) -> TransactionError | None:
        """Why the transaction cannot be committed as the body left it; None if it can."""
        status = self.pgconn.transaction_status
        if self.violation is not None:
            return self.violation
        if status == _Status.INERROR:
            return TransactionError(
                f"step {self._step!r} returned although a statement in its transaction had failed"
                f" ({_first_line(self._failure)}), so that Postgres undoes all of it. Let the error out, or put what"
                " may fail into 'with connection.transaction():'"
            )
        if self.held_by is not None:
            return TransactionError(
                f"step {self._step!r} returned while a transaction of {self.held_by} was open: commit it or roll it"
                " back, best in a 'with' block"
            )
        if status != _Status.INTRANS or self.pgconn.pipeline_status != pq.PipelineStatus.OFF:
            return TransactionError(
                f"step {self._step!r} returned while a statement was still under way on its connection (a COPY, a"
                " stream or a pipeline): finish it, best in a 'with' block"
            )
        return None

    def end(self) -> None:
        """Close the connection, which undoes a transaction that is open."""
        self._phase = _Phase.OVER
        self.pgconn.finish()

    def _admit(self) -> None:
        if self._phase is _Phase.OVER:
            raise TransactionError(f"the connection of step {self._step!r} was used after that step had ended")

    def _inspect(self, error: psycopg.Error | None) -> None:
        if self._phase is not _Phase.LENT:
            return
        if error is not None:
            self._failure = error
            if not self.lost and _hung_up(self.pgconn.socket):
                # psycopg has noticed the broken connection. libpq has not, and still takes a statement for under way.
                self.pgconn.finish()
        if self.pgconn.transaction_status == _Status.IDLE:
            self._ended(error)
            assert self.violation is not None
            raise self.violation from error

    def _ended(self, error: psycopg.Error | None) -> None:
        if self.violation is None:
            reason = f" ({_first_line(error)})" if error is not None else ""
            self.violation = TransactionError(
                f"step {self._step!r} ended its transaction itself{reason}: what it wrote so far may stand, without the"
                " step's checkpoint. Perdure commits when the step returns and rolls back when it raises; execute no"
                " COMMIT or ROLLBACK (savepoints: 'with connection.transaction():')"
            )
        # The server would commit each further statement of the step on its own.
        self.end()

    def _refuse(self, what: str) -> NoReturn:
        error = TransactionError(
            f"step {self._step!r} used {what} of its connection: Perdure commits when the step returns, rolls back when"
            " it raises, and closes the connection itself (savepoints: 'with connection.transaction():'; SQLAlchemy:"
            " perdure.sqlalchemy.step_engine())"
        )
        if self._phase is _Phase.LENT:
            self.violation = self.violation or error
        raise error

    def _translated(self, error: psycopg.Error) -> WireError:
        lost = self.pgconn.status != pq.ConnStatus.OK or _is_fatal(error)
        sqlstate = None if lost else error.sqlstate
        return WireError(Fault.AWAY if lost else classify(sqlstate), _first_line(error), sqlstate)

    def _shut_down(self) -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.pgconn.socket)) as end:
            end.shutdown(socket.SHUT_RDWR)


def _hung_up(socket_number: int, events: int = 0) -> bool:
    """Whether a connection has ended in both directions, or has one of `events`."""
    poll = select.poll()
    poll.register(socket_number, events)  # for POLLHUP and POLLERR, which poll always reports
    return bool(poll.poll(0))


def _is_fatal(error: psycopg.Error) -> bool:
    return error.diag.severity_nonlocalized in ("FATAL", "PANIC")


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0]


def _connect_error(error: psycopg.Error) -> WireError:
    return WireError(classify(error.sqlstate), str(error).strip(), error.sqlstate)


class StepConnection(_Guard, psycopg.Connection[Any]):
    """The connection of a sync step."""

    @classmethod
    def open(cls, url: str) -> StepConnection:
        """Connect.

        Raises:
            WireError: no connection can be made now.
        """
        try:
            # Perdure sends BEGIN. psycopg must not do so by itself after the step has ended its transaction.
            connection = cls.connect(conninfo(url), autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise _connect_error(error) from error
        close_in_children(connection.pgconn)
        return connection

    def ask(self, query: Query) -> Row | None:
        """Execute a statement of Perdure.

        Raises:
            WireError: the statement failed; the error has no SQLSTATE if the connection broke.
        """
        try:
            cursor = psycopg.Cursor(self, row_factory=tuple_row)
            cursor.execute(query.text.encode(), query.parameters)
            while cursor.nextset():
                pass
            return cursor.fetchone() if cursor.description else None
        except psycopg.Error as error:
            raise self._translated(error) from error

    def abandon(self) -> None:
        """Break the connection while another thread may be using it; the server undoes the transaction."""
        self.abandoned, self._phase = True, _Phase.OVER
        if self.pgconn.transaction_status == _Status.ACTIVE:
            # A server process checks its connection only after a statement, and would keep its locks until then.
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=2)
        self._shut_down()
        # psycopg's lock: libpq must not free a connection while the other thread is in a call of it.
        if self.lock.acquire(timeout=1):
            self.pgconn.finish()
            self.lock.release()

    def lend(self, step: str) -> None:
        super().lend(step)
        self.row_factory, self.cursor_factory, self.prepare_threshold = tuple_row, psycopg.Cursor, None

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        self._admit()
        try:
            result = super().wait(gen, *args, **kwargs)
        except psycopg.Error as error:
            self._inspect(error)
            raise
        self._inspect(None)
        return result

    def commit(self) -> None:
        self._refuse("commit()")

    def rollback(self) -> None:
        self._refuse("rollback()")

    def close(self) -> None:
        self._refuse("close()")

    def set_autocommit(self, value: bool) -> None:  # noqa: ARG002, FBT001 - psycopg's signature
        self._refuse("autocommit")

    def _set_autocommit(self, value: bool) -> None:  # noqa: ARG002, FBT001 - likewise
        self._refuse("autocommit")


class AsyncStepConnection(_Guard, psycopg.AsyncConnection[Any]):
    """The connection of an async step."""

    @classmethod
    async def open(cls, url: str) -> AsyncStepConnection:
        """As `StepConnection.open`."""
        try:
            connection = await cls.connect(conninfo(url), autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise _connect_error(error) from error
        close_in_children(connection.pgconn)
        return connection

    async def ask(self, query: Query) -> Row | None:
        """Execute a statement of Perdure, as a `StepConnection` does."""
        try:
            cursor = psycopg.AsyncCursor(self, row_factory=tuple_row)
            await cursor.execute(query.text.encode(), query.parameters)
            while cursor.nextset():
                pass
            return await cursor.fetchone() if cursor.description else None
        except psycopg.Error as error:
            raise self._translated(error) from error

    def lend(self, step: str) -> None:
        super().lend(step)
        self.row_factory, self.cursor_factory, self.prepare_threshold = tuple_row, psycopg.AsyncCursor, None

    async def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        self._admit()
        try:
            result = await super().wait(gen, *args, **kwargs)
        except psycopg.Error as error:
            self._inspect(error)
            raise
        self._inspect(None)
        return result

    async def commit(self) -> None:
        self._refuse("commit()")

    async def rollback(self) -> None:
        self._refuse("rollback()")

    async def close(self) -> None:
        self._refuse("close()")

    async def set_autocommit(self, value: bool) -> None:  # noqa: ARG002, FBT001 - psycopg's signature
        self._refuse("autocommit")

    def _set_autocommit(self, value: bool) -> None:  # noqa: ARG002, FBT001 - likewise
        self._refuse("autocommit")


Connection = StepConnection | AsyncStepConnection
