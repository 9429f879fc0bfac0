"""A sleep that ends in a live process costs no statement, and neither does reading the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import perdure
from perdure.attempt_results import Succeeded
from tests.harness.databases import Database

from .attempts import Run

_watcher: psycopg.Connection


def statements() -> list[tuple[Any, ...]]:
    """Each other connection to the database, with when it was last given a statement and when it last ended one."""
    return _watcher.execute(
        "SELECT pid, query_start, state_change FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        " ORDER BY pid"
    ).fetchall()


@perdure.step
def before() -> int:
    return 1


@perdure.step
async def async_before() -> int:
    return 1


@perdure.workflow
def naps() -> bool:
    before()
    seen, began = statements(), perdure.now()
    perdure.sleep(1.0)
    return bool(seen) and statements() == seen and (perdure.now() - began).total_seconds() == 1.0


@perdure.workflow
async def async_naps() -> bool:
    await async_before()
    seen, began = statements(), perdure.now()
    await asyncio.sleep(1.0)
    async with asyncio.timeout(10):
        await asyncio.sleep(0.1)
    return bool(seen) and statements() == seen and (perdure.now() - began).total_seconds() >= 1.1


@pytest.mark.parametrize("workflow", [naps, async_naps])
def test_a_sleep_costs_no_statement(database: Database, workflow: Callable[..., Any]) -> None:
    global _watcher
    with database.connect() as _watcher:
        assert Run(database.url, workflow).attempt() == Succeeded("true")
