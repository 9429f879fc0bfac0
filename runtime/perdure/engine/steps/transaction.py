"""Database steps: a step's own writes and its checkpoint in one transaction, so that both happen once or not at all.

The protocol is one generator of operations. `transaction` carries them out in its own thread, `async_transaction` in
the loop. If the answer to COMMIT is lost, the same checkpoint is inserted in another transaction. There its unique key
makes it wait for the end of the first transaction, and the answer shows whether that was committed. The run's row is
locked from the checkpoint, the last statement, to COMMIT.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ...errors import (
    ControlSignal,
    StepTimeout,
    StoreChanged,
    StoreError,
    StoreUnavailable,
    TransactionError,
    UsageError,
    ValueNotStorable,
)
from ...pauses import Pauses
from ...store.attempts.checkpoint import Answer, CallKind, Settled
from ...store.attempts.step_connection import (
    COMMIT,
    RENEW,
    ROLLBACK,
    AsyncStepConnection,
    Connection,
    Limits,
    Query,
    StepConnection,
    begin,
    checkpoint,
    end_older_transactions,
    is_conflict,
    marked_checkpoint,
)
from ...store.postgres.connection import Fault
from ...store.postgres.libpq import Parameters, WireError
from ...store.postgres.opener import Backoff
from ..branches.context import CURRENT, StepContext
from ..branches.step_connections import open_async, open_sync
from ..order.outcome import Outcome
from ..tasks.steadfast import SteadfastFuture

if TYPE_CHECKING:
    from ...definitions import StepDefinition
    from ...store.attempts.idle_connections import Seat
    from ..order.place import Place

__all__ = ["async_transaction", "transaction"]

_IDLE = 60.0
"""Seconds that a body without a timeout may leave its transaction idle, or wait for a lock."""

_STATEMENT = 600.0
"""Seconds that a statement of a body without a timeout may take."""

_CONFLICTS = 20
"""Times that a transaction is run again after a conflict with others; the next conflict is the step's error."""

_LOSSES = 20
"""Times that a transaction is run again after its connection broke. The next break is the step's error.

The body itself may be the cause, so the number is limited.
"""

_TURN = 0.02
"""Seconds between checks whether the store has the outcomes that the workflow used before this one."""

_AFTER_CONFLICTS = Pauses(0.004, 0.5, jitter=1.0)
_AFTER_LOSSES = Pauses(0.04, 1.0)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Open:
    """Wait for a slot, and get a kept or a new connection for it.

    The answer: its seat, the connection, whether it was kept, and whether this attempt had it last. A cancellation does
    not interrupt a `sealed` operation.
    """

    sealed: bool


@dataclass(frozen=True, slots=True)
class _Ask:
    """Execute a statement of the engine."""

    connection: Connection
    query: Query
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    """Run the step's body."""

    context: StepContext


@dataclass(frozen=True, slots=True)
class _Pause:
    """Wait with no transaction open. The step does not count as under way meanwhile, so a draining attempt can end."""

    seconds: float


@dataclass(frozen=True, slots=True)
class _Wait:
    """Wait for the store with a transaction open, or with a COMMIT in doubt. The step stays under way."""

    seconds: float


_Operation = _Open | _Ask | _Run | _Pause | _Wait
_Protocol = Generator[_Operation, Any, T]


class _Transaction:
    """One try of a step: its transactions, up to an outcome or to the step's own error."""

    def __init__(self, step: StepDefinition, context: StepContext, place: Place) -> None:
        self.step = step
        self.context = context
        self.place = place
        self.attempt = context.branch.attempt
        if self.attempt.database_url is None:
            raise UsageError(
                f"step {step.name!r} is a database step, and this run has no database: perdure.testing keeps"
                " checkpoints in memory. Test the workflow against a Postgres store, or its steps as plain functions"
            )
        self._connection: Connection | None = None
        self._seat: Seat | None = None
        self._user = (self.attempt.run_id, self.attempt.number)
        self._losses = 0
        self._conflicts = 0
        self._backoff: Backoff | None = None

    def protocol(self) -> _Protocol[Outcome]:
        """All operations up to the outcome, which is in the store then.

        Raises:
            ControlSignal: the attempt ends.
            BaseException: the error of the body, or an error in its use of the transaction; no checkpoint is stored.
        """
        try:
            while (outcome := (yield from self._try())) is None:
                pass
        except BaseException:
            # The outcomes with later ordinals must not wait for one that is not stored.
            self.place.leave()
            raise
        finally:
            self._drop()
        return outcome

    def _try(self) -> _Protocol[Outcome | None]:
        """Run one transaction. None if the step is not to blame for its failure: another one is to be run."""
        marker = secrets.token_hex(8)
        connection = yield from self._begin(marker)
        try:
            connection.lend(self.step.name)
            value = yield _Run(self.context.lent(connection))
            connection.take_back()
            text, value = self.step.codec.encode(value)
        except BaseException as error:
            connection.take_back()
            yield from self._failed(connection, error)
            return None
        if connection.lost and connection.violation is None:
            yield from self._lost(connection, connection.failure)
            return None
        if (unfinished := connection.unfinished()) is not None:
            yield from self._failed(connection, unfinished)
            return None
        return (yield from self._store(connection, marker, text, value))

    def _failed(self, connection: Connection, error: BaseException) -> _Protocol[None]:
        if connection.violation is not None:
            raise connection.violation from (None if error is connection.violation else error)
        if connection.abandoned or isinstance(
            error, ControlSignal | KeyboardInterrupt | GeneratorExit | asyncio.CancelledError
        ):
            raise error
        failure = connection.failure
        if connection.lost:
            yield from self._lost(connection, error)
        elif is_conflict(failure or error):
            yield from self._conflict(connection, error)
        else:
            yield from self._undo(connection)
            if isinstance(error, TransactionError):
                raise error from failure
            raise error

    def _lost(self, connection: Connection, error: BaseException | None) -> _Protocol[None]:
        """The connection broke before COMMIT was sent: the server undoes the transaction."""
        idled_out = connection.idled_out
        self._drop()
        if idled_out:
            raise TransactionError(
                f"step {self.step.name!r} left its transaction idle for more than {self._limits().idle:g} s, so the"
                " server ended it: do slow work in a step before this one, or give the step a timeout, which then is"
                " the limit"
            ) from error
        self._losses += 1
        if self._losses > _LOSSES:
            raise error or StoreUnavailable(f"step {self.step.name!r}: its connection broke {self._losses} times")
        yield _Pause(_AFTER_LOSSES.after(self._losses))

    def _conflict(self, connection: Connection, error: BaseException) -> _Protocol[None]:
        yield from self._undo(connection)
        self._conflicts += 1
        if self._conflicts > _CONFLICTS:
            raise error
        yield _Pause(_AFTER_CONFLICTS.after(self._conflicts))

    def _store(self, connection: Connection, marker: str, text: str, value: object) -> _Protocol[Outcome | None]:
        attempt, key = self.attempt, self.context.step_key
        # This outcome may depend on outcomes that the workflow has used: those are stored first.
        while attempt.unstored is not None and attempt.unstored.pending:
            yield _Wait(_TURN)
        outcome = Outcome(result=text, value=value, stored=True, tries=self.context.tries)
        self.place.take(outcome)
        parameters = attempt.checkpoint(CallKind.STEP, key, self.step.name, outcome, self.place.started).parameters()
        try:
            row = yield _Ask(connection, marked_checkpoint(parameters, marker, attempt.lease), sealed=True)
        except WireError as error:
            self.place.leave()
            yield from self._not_stored(connection, error)
            return None
        answer = int(row[0])
        if answer < 0:
            raise TransactionError(
                f"step {self.step.name!r} ended its transaction and began another: what it wrote in the first may"
                " stand, without the step's checkpoint. Execute no COMMIT or ROLLBACK (savepoints:"
                " 'with connection.transaction():')"
            )
        if answer:
            yield from self._undo(connection)
            # Each transaction has an ordinal of its own, so a checkpoint that is there already is another call's.
            self._end(Answer.KEY_TAKEN if answer == Answer.DONE_BEFORE else Answer(answer))
        try:
            yield _Ask(connection, COMMIT, sealed=True)
        except WireError as error:
            if error.sqlstate is not None:
                # A deferred constraint, or a conflict that Postgres finds at COMMIT.
                self.place.leave()
                yield from self._failed(connection, error.__cause__ or error)
                return None
            self._drop()
            # The connection broke, so the transaction may be committed or undone.
            if not (yield from self._was_committed(parameters)):
                self.place.leave()
                return None
        self._release()
        return outcome

    def _not_stored(self, connection: Connection, error: WireError) -> _Protocol[None]:
        """The checkpoint, the last statement before COMMIT, failed."""
        cause = error.__cause__ or error
        if is_conflict(cause) or error.fault is Fault.LOCKED:
            yield from self._conflict(connection, cause)
            return
        yield from self._undo(connection)
        if error.sqlstate is not None and error.sqlstate.startswith("25"):
            raise TransactionError(
                f"step {self.step.name!r} left its transaction in a state in which its checkpoint cannot be stored:"
                f" {error}"
            ) from cause
        if error.fault is Fault.REFUSED:
            raise ValueNotStorable(f"Postgres refuses the value: {error}") from cause
        if error.fault is Fault.UNUSABLE:
            self._end(
                StoreError(f"the store refuses a checkpoint ({error}); is its schema there, and may this role use it?")
            )
        # The connection broke, or the disk is full. Both may pass, so the transaction is run again after a pause.
        self._backoff = self._backoff or self._new_backoff()
        yield _Pause(self._delay(self._backoff, error))

    def _was_committed(self, parameters: Parameters) -> _Protocol[bool]:
        """Find out whether a checkpoint whose COMMIT had no answer is in the store."""
        while True:
            connection = yield from self._begin("", sealed=True)
            try:
                row = yield _Ask(connection, checkpoint(parameters), sealed=True)
                yield _Ask(connection, ROLLBACK, sealed=True)
            except WireError as error:
                self._drop()
                if error.fault is Fault.UNUSABLE:
                    self._end(StoreError(f"the store refuses a checkpoint: {error}"))
                self._backoff = self._backoff or self._new_backoff()
                yield _Wait(self._delay(self._backoff, error))
                continue
            self._release()
            answer = Answer(int(row[0]))
            if answer not in (Answer.DONE, Answer.DONE_BEFORE):
                self._end(answer)
            return answer is Answer.DONE_BEFORE

    def _begin(self, marker: str, *, sealed: bool = False) -> _Protocol[Connection]:
        """Begin a transaction, and return its connection; waits while the store is away."""
        attempt = self.attempt
        backoff: Backoff | None = None
        while True:
            kept = self._connection is not None
            try:
                if self._connection is None:
                    self._seat, self._connection, kept, own = yield _Open(sealed)
                    if kept and not own:
                        self._connection.renew()
                        yield _Ask(self._connection, RENEW, sealed)
                connection = self._connection
                if attempt.number > 1 and not attempt.older_ended:
                    # A paused process of an older attempt may hold locks that this one is about to wait for.
                    with suppress(WireError):
                        yield _Ask(connection, end_older_transactions(attempt.run_id, attempt.number), sealed)
                    attempt.older_ended = True
                row = yield _Ask(connection, begin(attempt.run_id, attempt.number, marker, self._limits()), sealed)
                self._check_server(row)
                return connection
            except WireError as error:
                self._drop()
                if kept:
                    # A kept connection may have broken while it was idle: this does not show that the store is away.
                    continue
                if error.fault is Fault.UNUSABLE:
                    self._end(StoreError(f"the store refuses a connection: {error}"))
                backoff = backoff or self._new_backoff()
                delay = self._delay(backoff, error)
            yield _Wait(delay) if sealed else _Pause(delay)

    def _check_server(self, row: tuple[Any, ...]) -> None:
        system, writable = row[0], row[1]
        opener = self.attempt.committer.opener
        if opener.system is None:
            opener.system = system
        elif system != opener.system:
            self._end(StoreChanged(f"database system {system} answers where {opener.system} did; this attempt ends"))
        if not writable:
            raise WireError(Fault.AWAY, "the server is read-only", "25006")

    def _undo(self, connection: Connection) -> _Protocol[None]:
        """Roll back, and keep the connection if it still works."""
        if not connection.usable:
            self._drop()
            return
        try:
            yield _Ask(connection, ROLLBACK)
        except WireError:
            self._drop()
        else:
            self._release()

    def _release(self) -> None:
        """Keep the connection for the next transaction or step, and give up its slot."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self.attempt.idle_connections.keep(connection, self._user)
        self._leave()

    def _drop(self) -> None:
        """Close the connection, and give up its slot. The server undoes a transaction that is open."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.abandoned:
            connection.end()
        self._leave()

    def _leave(self) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            self.attempt.idle_connections.leave(seat)

    def _limits(self) -> Limits:
        timeout = self.step.timeout
        return Limits(statement=timeout or _STATEMENT, lock=timeout or _IDLE, idle=timeout or _IDLE)

    def _new_backoff(self) -> Backoff:
        return Backoff(self.attempt.committer.opener.patience)

    def _delay(self, backoff: Backoff, error: WireError) -> float:
        delay = None if self.attempt.given_up() else backoff.next()
        if delay is None:
            self._end(StoreUnavailable(f"step {self.context.step_key!r} found no store: {error}"))
        return delay

    def _end(self, settled: Settled) -> NoReturn:
        """End the attempt because of this answer of the store."""
        self.attempt.judge(settled, self.context.step_key)
        raise AssertionError(settled)


def transaction(step: StepDefinition, context: StepContext, body: Callable[[], object], place: Place) -> Outcome:
    """Run one try of a sync database step up to an outcome that is in the store.

    Raises:
        ControlSignal: the attempt ends.
        BaseException: the error of this try; no checkpoint is stored.
    """
    protocol = _Transaction(step, context, place).protocol()
    try:
        operation = next(protocol)
        while True:
            try:
                answer = _carry_out(operation, step, context, body)
            except BaseException as error:
                operation = protocol.throw(error)
            else:
                operation = protocol.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        protocol.close()


def _carry_out(operation: _Operation, step: StepDefinition, context: StepContext, body: Callable[[], object]) -> object:
    attempt = context.branch.attempt
    match operation:
        case _Open(sealed=sealed):
            return open_sync(attempt, sealed=sealed)
        case _Ask(connection=StepConnection() as connection, query=query):
            return connection.ask(query)
        case _Ask():
            raise AssertionError("a connection of the other kind")
        case _Run(context=lent):
            token = CURRENT.set(lent)
            try:
                return body()
            except (StepTimeout, ControlSignal):
                # A step with a timeout has a thread of its own, which may still use the connection.
                if step.timeout is not None:
                    lent.connection.abandon()
                raise
            finally:
                lent.active = False
                CURRENT.reset(token)
        case _Pause(seconds=seconds):
            attempt.leave_step()
            attempt.paused.wait(seconds)
            attempt.check()
            attempt.enter_step()
        case _Wait(seconds=seconds):
            attempt.check()
            time.sleep(seconds)
    return None


async def async_transaction(
    step: StepDefinition, context: StepContext, body: Callable[[], Awaitable[object]], place: Place
) -> Outcome:
    """As `transaction`, for an async step."""
    protocol = _Transaction(step, context, place).protocol()
    try:
        operation = next(protocol)
        while True:
            try:
                answer = await _carry_out_async(operation, context, body)
            except BaseException as error:
                operation = protocol.throw(error)
            else:
                operation = protocol.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        protocol.close()


async def _carry_out_async(
    operation: _Operation, context: StepContext, body: Callable[[], Awaitable[object]]
) -> object:
    attempt = context.branch.attempt
    match operation:
        case _Open(sealed=sealed):
            return await (_sealed(open_async(attempt, sealed=True)) if sealed else open_async(attempt))
        case _Ask(connection=AsyncStepConnection() as connection, query=query, sealed=sealed):
            asked = connection.ask(query)
            return await (_sealed(asked) if sealed else asked)
        case _Ask():
            raise AssertionError("a connection of the other kind")
        case _Run(context=lent):
            token = CURRENT.set(lent)
            try:
                return await body()
            finally:
                lent.active = False
                CURRENT.reset(token)
        case _Pause(seconds=seconds):
            attempt.leave_step()
            try:
                await asyncio.sleep(seconds)
                await attempt.enter_async_step()
            except asyncio.CancelledError:
                attempt.check()
                # The step counts as under way again, until its outcome is stored.
                attempt.enter_step()
                raise
        case _Wait(seconds=seconds):
            attempt.check()
            await _sealed(asyncio.sleep(seconds))
    return None


async def _sealed(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end. A cancellation meanwhile does not end it, and stays counted in the calling task."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    while not task.done():
        ended = SteadfastFuture(loop=loop)
        task.add_done_callback(partial(_tell, ended))
        # The first `await` raises a cancellation that came before this wait.
        with suppress(asyncio.CancelledError):
            await ended
    return task.result()


def _tell(ended: asyncio.Future[None], _: object) -> None:
    if not ended.done():
        ended.set_result(None)
