"""SQLAlchemy in database steps: an engine whose transactions are parts of the step's own.

    engine = step_engine()

    @step(database=True)
    def book(seat: str) -> int:
        with Session(engine) as session, session.begin():
            ...

Made once, it takes the connection of the step that uses it. A transaction of SQLAlchemy's is a savepoint there: its
rollback undoes its statements, its commit keeps them for the step, and all of them are committed together with the
step's checkpoint. No connection is opened and none is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import NullPool, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg, PGDialectAsync_psycopg

from .engine.branches.context import step_context
from .errors import TransactionError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["async_step_engine", "step_engine"]

_SAVEPOINT = "perdure_sqlalchemy"


def step_engine(**options: Any) -> Engine:
    """An engine for sync database steps.

    Args:
        options: as of `sqlalchemy.create_engine`, such as `echo`.
    """
    return create_engine("postgresql+perdure_step://", creator=_connection, **_POOL, **options)


def async_step_engine(**options: Any) -> AsyncEngine:
    """An engine for async database steps. SQLAlchemy needs greenlet for it: pip install 'sqlalchemy[asyncio]'.

    Args:
        options: as of `sqlalchemy.ext.asyncio.create_async_engine`.
    """
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine("postgresql+perdure_async_step://", async_creator=_async_connection, **_POOL, **options)


_POOL: dict[str, Any] = {"poolclass": NullPool, "pool_reset_on_return": None, "use_native_hstore": False}


def _connection() -> Any:
    return step_context().connection


async def _async_connection() -> Any:
    return step_context().connection


class _InStep:
    """What both dialects do otherwise: transactions are savepoints, and the connection is the step's."""

    def on_connect(self) -> None:
        """Nothing is set up: the connection has served other steps, and will serve more."""

    def do_begin(self, connection: Any) -> None:
        if _driver(connection).held_by is not None:
            raise TransactionError(
                "a database step has one transaction of SQLAlchemy at a time: use the Session or Connection that is"
                " open, or end it first"
            )
        _execute(connection, f"SAVEPOINT {_SAVEPOINT}")
        _driver(connection).held_by = "SQLAlchemy"

    def do_commit(self, connection: Any) -> None:
        _execute(connection, f"RELEASE SAVEPOINT {_SAVEPOINT}")
        _driver(connection).held_by = None

    def do_rollback(self, connection: Any) -> None:
        driver = _driver(connection)
        # SQLAlchemy also rolls back a transaction that it has not begun, and one lost with the connection.
        if driver.held_by is not None and not driver.lost:
            _execute(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            _execute(connection, f"RELEASE SAVEPOINT {_SAVEPOINT}")
        driver.held_by = None

    def do_close(self, connection: Any) -> None:
        """The step's connection stays open."""

    def do_terminate(self, connection: Any) -> None:
        """The step's connection stays open."""


class StepDialect(_InStep, PGDialect_psycopg):
    """For `step_engine`."""

    supports_statement_cache = True


class AsyncStepDialect(_InStep, PGDialectAsync_psycopg):
    """For `async_step_engine`."""

    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, _url: Any) -> type[AsyncStepDialect]:
        return cls


def _driver(connection: Any) -> Any:
    """Psycopg's connection, which SQLAlchemy hands over bare or wrapped."""
    return getattr(connection, "driver_connection", connection)


def _execute(connection: Any, sql: str) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(sql)
    finally:
        cursor.close()


registry.register("postgresql.perdure_step", __name__, "StepDialect")
registry.register("postgresql.perdure_async_step", __name__, "AsyncStepDialect")
