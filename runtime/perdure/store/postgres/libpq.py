"""The functions of the schema over one bare connection: prepared once, parameters as text, no cursor.

The hot path. `Wire` waits for each answer; `LoopWire` lets an event loop wait. Both fall back to unprepared statements
where a pooler loses prepared ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import NoReturn

import psycopg
from psycopg import pq

from .connection import Fault, classify, connect

__all__ = [
    "BEGIN",
    "CHECKPOINT",
    "CHECKPOINTS",
    "END_ATTEMPT",
    "FINISH",
    "HEARTBEAT",
    "LOAD",
    "RELEASE_RUN",
    "Call",
    "LoopWire",
    "Parameters",
    "Wire",
    "WireError",
]

Parameters = Sequence[bytes | None]

_TEXT, _CHAR, _INT, _BIGINT, _DOUBLE, _UUID, _JSON = 25, 18, 23, 20, 701, 2950, 114
_TEXTS, _CHARS, _INTS, _BIGINTS, _UUIDS = 1009, 1002, 1007, 1016, 2951


@dataclass(frozen=True, slots=True)
class Call:
    """One function of the schema, as a statement whose parameters have these types (their object ids)."""

    name: bytes
    sql: bytes
    types: tuple[int, ...]


def _call(name: str, *types: int, row: bool = False) -> Call:
    arguments = ", ".join(f"${n}" for n in range(1, len(types) + 1))
    # Names and parameters are the constants below.
    sql = f"SELECT * FROM perdure.{name}({arguments})" if row else f"SELECT perdure.{name}({arguments})"  # noqa: S608
    return Call(f"perdure_{name}".encode(), sql.encode(), types)


BEGIN = _call("begin", _UUID, _UUID, _UUID, _INT, _TEXT, _INT, _BIGINT, _TEXT, row=True)
LOAD = _call("load", _UUIDS, _UUIDS, row=True)
CHECKPOINT = _call("checkpoint", _UUID, _UUID, _TEXT, _INT, _TEXT, _INT, _BIGINT, _BIGINT, _JSON, _JSON, _UUID, _CHAR)
CHECKPOINTS = _call(
    "checkpoints", _UUIDS, _UUIDS, _TEXTS, _INTS, _TEXTS, _INTS, _BIGINTS, _BIGINTS, _TEXTS, _TEXTS, _UUIDS, _CHARS
)
HEARTBEAT = _call("heartbeat", _UUID, _UUID, _BIGINT, _TEXT, row=True)
DECLARE_CLEANUP = _call("declare_cleanup", _UUID, _UUID, _DOUBLE)
FINISH = _call("finish", _UUID, _UUID, _TEXT, _JSON, _JSON)
RELEASE_RUN = _call("release_run", _UUID, _UUID, _TEXT, _INT, _INT, _TEXT)
END_ATTEMPT = _call("end_attempt", _UUID, _UUID, _TEXT, _INT, _INT, _TEXT)


class WireError(Exception):
    """A call that gave no answer, with what to do about it. Never leaves the store package untranslated.

    Attributes:
        fault: what to do.
        sqlstate: the server's code; None where the connection broke, so that the outcome is unknown.
    """

    def __init__(self, fault: Fault, message: str, sqlstate: str | None) -> None:
        super().__init__(message)
        self.fault = fault
        self.sqlstate = sqlstate


def _refuse(pgconn: pq.abc.PGconn, result: pq.abc.PGresult | None) -> NoReturn:
    if result is None or pgconn.status != pq.ConnStatus.OK:
        message = (pgconn.error_message or b"the connection is closed").decode("utf-8", "replace").strip()
        raise WireError(Fault.AWAY, message, None)
    code = result.error_field(pq.DiagnosticField.SQLSTATE)
    primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
    sqlstate = code.decode() if code else None
    raise WireError(classify(sqlstate), (primary or b"").decode("utf-8", "replace"), sqlstate)


def _rows(result: pq.abc.PGresult) -> list[list[bytes | None]]:
    columns = range(result.nfields)
    return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]


class Wire:
    """A connection on which calls are made one at a time, waiting for each answer.

    Attributes:
        pooled: whether a pooler is between us and the server, as far as `system_identifier` has found out.
    """

    def __init__(self, url: str) -> None:
        try:
            self._connection = connect(url)
        except psycopg.Error as error:
            raise WireError(classify(error.sqlstate), str(error).strip(), error.sqlstate) from error
        self.pgconn = self._connection.pgconn
        self.prepared: set[bytes] = set()
        self.prepares = True
        self.pooled = False

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def scalar(self, call: Call, parameters: Parameters) -> bytes | None:
        """The one value that a call answers."""
        return self._result(call, parameters).get_value(0, 0)

    def rows(self, call: Call, parameters: Parameters) -> list[list[bytes | None]]:
        """The rows that a call answers."""
        return _rows(self._result(call, parameters))

    def system_identifier(self) -> str:
        """Which database system this is, for all its life."""
        result = self.pgconn.exec_(b"SELECT system_identifier, pg_backend_pid() FROM pg_control_system()")
        if result.status != pq.ExecStatus.TUPLES_OK:
            _refuse(self.pgconn, result)
        # A pooler makes up the process id that its clients see.
        self.pooled = result.get_value(0, 1) != b"%d" % self.pgconn.backend_pid
        return (result.get_value(0, 0) or b"").decode()

    def set_lock_timeout(self, milliseconds: int) -> None:
        """Give up calls that wait longer for a lock; not through a pooler, where the setting would be another's."""
        result = self.pgconn.exec_(b"SET lock_timeout = %d" % milliseconds)
        if result.status != pq.ExecStatus.COMMAND_OK:
            _refuse(self.pgconn, result)

    def _result(self, call: Call, parameters: Parameters) -> pq.abc.PGresult:
        try:
            if self.prepares:
                if call.name not in self.prepared:
                    self._prepare(call)
                if self.prepares:
                    result = self.pgconn.exec_prepared(call.name, parameters)  # type: ignore[arg-type]
                    if result.status == pq.ExecStatus.TUPLES_OK:
                        return result
                    try:
                        _refuse(self.pgconn, result)
                    except WireError as error:
                        if error.fault is not Fault.STATEMENT_LOST:
                            raise
                    self.prepares = False
            result = self.pgconn.exec_params(call.sql, parameters, call.types)
        except psycopg.Error as error:
            raise WireError(Fault.AWAY, str(error).strip(), None) from error
        if result.status != pq.ExecStatus.TUPLES_OK:
            _refuse(self.pgconn, result)
        return result

    def _prepare(self, call: Call) -> None:
        result = self.pgconn.prepare(call.name, call.sql, call.types)
        if result.status == pq.ExecStatus.COMMAND_OK:
            self.prepared.add(call.name)
            return
        try:
            _refuse(self.pgconn, result)
        except WireError as error:
            if error.fault is not Fault.STATEMENT_LOST:
                raise
            self.prepares = False


Answered = Callable[[list[list[bytes | None]] | WireError], None]


class LoopWire:
    """A `Wire` whose answers an event loop waits for: one call under way at a time, its rows given to a callback."""

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop) -> None:
        self._wire = wire
        self._pgconn = wire.pgconn
        self._loop = loop
        self._fd = self._pgconn.socket
        self._watched = True
        self._call: Call | None = None
        self._parameters: Parameters = ()
        self._answered: Answered | None = None
        self._result: pq.abc.PGresult | None = None
        self._preparing = False
        self._pgconn.nonblocking = 1
        # The reader stays registered: adding and removing it for each call costs two system calls.
        Context().run(loop.add_reader, self._fd, self._readable)

    @property
    def pooled(self) -> bool:
        """As `Wire.pooled`."""
        return self._wire.pooled

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._answered is not None

    def close(self) -> None:
        """End the connection; a call under way gets no answer."""
        self._forget()
        self._wire.close()

    def _forget(self) -> None:
        # Once only: the number of a socket that was closed may be another connection's by now.
        if self._watched and not self._loop.is_closed():
            self._watched = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)

    def send(self, call: Call, parameters: Parameters, answered: Answered) -> None:
        """Send a call; `answered` gets its rows or its error, in the loop, never before this returns."""
        self._call, self._parameters, self._answered = call, parameters, answered
        try:
            self._send(call, parameters)
            self._flush()
        except psycopg.Error as error:
            self._loop.call_soon(self._answer, WireError(Fault.AWAY, str(error).strip(), None), context=Context())

    def _send(self, call: Call, parameters: Parameters) -> None:
        if not self._wire.prepares:
            self._pgconn.send_query_params(call.sql, parameters, call.types)
        elif call.name in self._wire.prepared:
            self._pgconn.send_query_prepared(call.name, parameters)
        else:
            self._preparing = True
            self._pgconn.send_prepare(call.name, call.sql, call.types)

    def _flush(self) -> None:
        if self._pgconn.flush():
            self._loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        try:
            self._pgconn.consume_input()
            if not self._pgconn.flush():
                self._loop.remove_writer(self._fd)
        except psycopg.Error as error:
            self._answer(WireError(Fault.AWAY, str(error).strip(), None))

    def _readable(self) -> None:
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            # The connection takes the next call only once this one's end has been read.
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    break
                self._result = result
            else:
                return
        except psycopg.Error as error:
            self._answer(WireError(Fault.AWAY, str(error).strip(), None))
            return
        result, self._result = self._result, None
        if result is None:
            return
        try:
            self._take(result)
        except WireError as error:
            self._answer(error)
        except psycopg.Error as error:
            self._answer(WireError(Fault.AWAY, str(error).strip(), None))

    def _take(self, result: pq.abc.PGresult) -> None:
        assert self._call is not None
        if result.status == pq.ExecStatus.TUPLES_OK:
            self._answer(_rows(result))
            return
        if result.status == pq.ExecStatus.COMMAND_OK and self._preparing:
            self._preparing = False
            self._wire.prepared.add(self._call.name)
        else:
            self._preparing = False
            try:
                _refuse(self._pgconn, result)
            except WireError as error:
                if error.fault is not Fault.STATEMENT_LOST or not self._wire.prepares:
                    raise
                self._wire.prepares = False
        self._send(self._call, self._parameters)
        self._flush()

    def _answer(self, answer: list[list[bytes | None]] | WireError) -> None:
        answered, self._answered, self._call = self._answered, None, None
        # They may be large, and the next call a long time off.
        self._parameters = ()
        if isinstance(answer, WireError) and answer.sqlstate is None:
            self._forget()
        if answered is not None:
            answered(answer)
