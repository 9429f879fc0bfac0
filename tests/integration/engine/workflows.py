"""Workflows that the tests run in processes of their own, too."""

from __future__ import annotations

from perdure import step, step_context, workflow

__all__ = ["enter_many", "hold_a_row"]


@step(database=True)
def enter() -> None:
    context = step_context()
    context.connection.execute("INSERT INTO entries (key) VALUES (%s)", [context.step_key])


@workflow
def enter_many(count: int) -> None:
    for _ in range(count):
        enter()


@step(database=True)
def hold() -> None:
    connection = step_context().connection
    connection.execute("UPDATE entries SET key = key || '+'")
    connection.execute(b"SELECT 'held'")


@workflow
def hold_a_row() -> None:
    hold()
