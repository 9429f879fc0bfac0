"""SQLAlchemy in database steps: what it writes stands with the step's checkpoint, and what it rolls back does not."""

from __future__ import annotations

import contextlib
import importlib.util

import pytest
from sqlalchemy import ForeignKey, StaticPool, create_engine, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from perdure import run_step, step, step_context, workflow
from perdure.attempt_results import Failed, Succeeded
from perdure.errors import TransactionError
from perdure.sqlalchemy import async_step_engine, step_engine
from tests.harness.databases import Database

from .engine.attempts import Run

with_greenlet = pytest.mark.skipif(
    importlib.util.find_spec("greenlet") is None,
    reason="greenlet is in requirements/test.txt: make the environment anew",
)


class Base(DeclarativeBase): ...


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    lines: Mapped[list[Line]] = relationship(back_populates="order", cascade="all")


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id))
    item: Mapped[str]
    order: Mapped[Order] = relationship(back_populates="lines")


engine = step_engine()
async_engine = async_step_engine() if importlib.util.find_spec("greenlet") else None


@pytest.fixture
def shop(database: Database) -> Database:
    """A database with the tables."""
    made = create_engine(database.url.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.create_all(made)
    made.dispose()
    return database


def orders(shop: Database) -> list[str]:
    return [name for (name,) in shop.query("SELECT name FROM orders ORDER BY id")]


@step(database=True)
def place(name: str, items: list[str]) -> int:
    with Session(engine) as session, session.begin():
        order = Order(name=name, lines=[Line(item=item) for item in items])
        session.add(order)
        session.flush()
        return order.id


@step(database=True)
def place_and_fail(name: str) -> None:
    with Session(engine) as session, session.begin():
        session.add(Order(name=name))
    raise LookupError("after the commit")


@step(database=True)
def place_or_find(name: str) -> int:
    with Session(engine) as session:
        session.add(Order(name=name))
        try:
            session.commit()
        except IntegrityError:
            session.rollback()
        found = session.scalars(select(Order).where(Order.name == name)).one()
        return len(found.lines)


@step(database=True)
def forget(name: str) -> None:
    with Session(engine) as session:
        session.add(Order(name=name))
        session.flush()


@step(database=True)
def with_core(names: list[str]) -> list[str]:
    with engine.begin() as connection:
        connection.execute(insert(Order), [{"name": name} for name in names])
    with engine.connect() as connection:
        connection.execute(insert(Order), [{"name": "undone"}])
        connection.rollback()
        connection.execute(insert(Order), [{"name": "done"}])
        with connection.begin_nested() as nested:
            connection.execute(insert(Order), [{"name": "nested"}])
            nested.rollback()
        connection.commit()
    with engine.connect() as connection:
        return list(connection.scalars(select(Order.name).order_by(Order.id)))


@workflow
def shopping() -> list[object]:
    """Each of the ways in which a session ends."""
    first = place("a", ["tea", "milk"])
    with contextlib.suppress(LookupError):
        place_and_fail("b")
    lines = place_or_find("a")
    forget("c")
    return [first, lines, with_core(["d", "e"])]


def test_a_sessions_work_stands_with_its_step(shop: Database) -> None:
    run = Run(shop.url, shopping)

    ending = run.attempt()

    assert ending == Succeeded('[1,2,["a","d","e","done"]]')
    assert orders(shop) == ["a", "d", "e", "done"]
    assert shop.query("SELECT count(*) FROM lines") == [(2,)]


def test_the_engine_leaves_nothing_on_the_connection(shop: Database) -> None:
    @step(database=True)
    def look() -> list[str]:
        connection = step_context().connection
        handlers = len(connection._notice_handlers)
        for _ in range(3):
            with engine.connect() as connected:
                connected.scalar(text("SELECT 1"))
        return [str(len(connection._notice_handlers) - handlers), str(connection.closed)]

    @workflow
    def looking() -> list[str]:
        return look()

    assert Run(shop.url, looking).attempt() == Succeeded('["0","False"]')


@pytest.mark.parametrize("how", ["two at once", "left open", "autocommit"])
def test_what_a_step_cannot_have(shop: Database, how: str) -> None:
    left = []

    def wrong() -> None:
        session = Session(engine)
        session.add(Order(name="x"))
        session.flush()
        if how == "two at once":
            Session(engine).scalars(select(Order)).all()
        if how == "autocommit":
            session.commit()
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.scalar(text("SELECT 1"))
        left.append(session)

    @step(database=True)
    def wrong_step() -> None:
        wrong()

    @workflow
    def asking() -> None:
        wrong_step()

    ending = Run(shop.url, asking).attempt()

    assert isinstance(ending, Failed)
    assert isinstance(ending.raised, TransactionError), ending.raised
    assert {
        "two at once": "one transaction of SQLAlchemy at a time",
        "left open": "returned while a transaction of SQLAlchemy was open",
        "autocommit": "used autocommit of its connection",
    }[how] in str(ending.raised)
    assert orders(shop) == []


def test_an_engine_of_sqlalchemys_own_is_told_what_to_use(shop: Database) -> None:
    @workflow
    def asking() -> None:
        run_step("own", own)

    @step(database=True)
    def own() -> None:
        connection = step_context().connection
        with Session(
            create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
        ) as session:
            session.add(Order(name="x"))
            session.commit()

    ending = Run(shop.url, asking).attempt()

    assert isinstance(ending, Failed)
    assert "perdure.sqlalchemy" in str(ending.raised)
    assert orders(shop) == []


@with_greenlet
def test_async_sessions(shop: Database) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession

    assert async_engine is not None

    @step(database=True)
    async def place_async(name: str) -> int:
        async with AsyncSession(async_engine) as session, session.begin():
            session.add(Order(name=name))
            await session.flush()
        async with AsyncSession(async_engine) as session:
            session.add(Order(name="forgotten"))
            await session.flush()
            await session.rollback()
            return len((await session.scalars(select(Order))).all())

    @workflow
    async def placing() -> list[int]:
        return [await place_async("a"), await place_async("b")]

    ending = Run(shop.url, placing).attempt()

    assert ending == Succeeded("[1,2]")
    assert orders(shop) == ["a", "b"]
