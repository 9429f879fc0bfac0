"""What every written program begins with: its imports, and steps that tell of each time that they run."""

# ruff: noqa: F401  what programs use

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import contextvars
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import os
import sys
import threading
import time
import typing
import uuid
import zoneinfo

import anyio
import anyio.to_thread
import pydantic

import perdure
from perdure import Retry, run_step, step, workflow

UNIT = float(os.environ.get("PROGRAM_UNIT", "0.02"))
"""Seconds of one unit of time."""

EFFECTS: list[typing.Any] = []
"""What the steps did to the outside world: attempt, step key, what."""


def _in_step() -> bool:
    return sys.modules["perdure.engine.branches.context"].CURRENT.get() is not None


def effect(*what: object) -> None:
    context = perdure.step_context() if _in_step() else None
    EFFECTS.append([context.attempt if context else 0, context.step_key if context else "", [str(one) for one in what]])


def tries() -> int:
    """Which try of its step this is; the last one outside of runs."""
    return perdure.step_context().tries if _in_step() else 99


def spend(units: float) -> None:
    """Take time without letting anybody else run."""
    time.sleep(units * UNIT)


async def pause(units: float) -> None:
    """Take time while others run."""
    await asyncio.sleep(units * UNIT)


def pure(what: object, units: float = 0) -> str:
    """No step."""
    time.sleep(units * UNIT)
    return f"pure {what}"


@step
def f(what: object, units: float = 0) -> str:
    effect("f", what)
    if units:
        spend(units)
    return f"f({what})"


@step
def g(what: object) -> str:
    effect("g", what)
    return f"g({what})"


@step
async def af(what: object, units: float = 0) -> str:
    await pause(units)
    effect("af", what)
    return f"af({what})"


@step
async def ag(what: object) -> str:
    await pause(0)
    effect("ag", what)
    return f"ag({what})"


def notes(error: BaseException) -> list[str]:
    """Its notes without its recorded traceback, which a plain call's has not."""
    return [note for note in getattr(error, "__notes__", []) if not note.startswith("recorded traceback")]


class Broken(Exception):
    """What failing steps raise."""


@step
def fail(what: object) -> str:
    effect("fail", what)
    raise Broken(str(what))


@step
async def afail(what: object, units: float = 0) -> str:
    await pause(units)
    effect("afail", what)
    raise Broken(str(what))
