"""Workflows that the tests run in processes of their own, too."""

from __future__ import annotations

import asyncio
import os
import time

from perdure import step, step_context, workflow

__all__ = ["enter_many", "hold_a_row", "mutate_in_transaction", "price_many", "price_together"]


@step(database=True)
def enter() -> None:
    context = step_context()
    context.connection.execute("INSERT INTO entries (key) VALUES (%s)", [context.step_key])


@workflow
def enter_many(count: int) -> None:
    for _ in range(count):
        enter()


@step
def price(item: str) -> str:
    print("priced", item, flush=True)
    return f"price of {item}"


@step
async def price_soon(item: str) -> str:
    print("priced", item, flush=True)
    return f"price of {item}"


ITEMS = {f"item {number}" for number in range(20)}
"""In another order for each hash seed."""


@workflow
def price_many(pause: bool) -> dict[str, str]:
    found = {item: price(item) for item in ITEMS}
    if pause and os.environ.get("PAUSE"):
        print("paused", flush=True)
        time.sleep(60)
    return found | {"last": price("the last")}


@workflow
async def price_together(pause: bool) -> list[str]:
    found = await asyncio.gather(*[price_soon(item) for item in ITEMS])
    if pause and os.environ.get("PAUSE"):
        print("paused", flush=True)
        time.sleep(60)
    return [*found, await price_soon("the last")]


@step(database=True)
def enter_and_note(notes: list[str]) -> None:
    context = step_context()
    context.connection.execute("INSERT INTO entries (key) VALUES (%s)", [context.step_key])
    notes.append(context.step_key)


@workflow
def mutate_in_transaction() -> list[str]:
    notes: list[str] = []
    enter_and_note(notes)
    return notes


@step(database=True)
def hold() -> None:
    connection = step_context().connection
    connection.execute("UPDATE entries SET key = key || '+'")
    connection.execute(b"SELECT 'held'")


@workflow
def hold_a_row() -> None:
    hold()
