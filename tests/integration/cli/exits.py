"""Workflows that end with what ends processes, at every place of their code."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import perdure
from perdure import run_step, step, workflow


class Halt(BaseException): ...


KINDS: dict[str, type[BaseException]] = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "SystemExit": SystemExit,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "Halt": Halt,
}


def note(line: str) -> None:
    with Path("log").open("a") as file:
        file.write(f"{line}\n")


@step
def charge() -> int:
    note("charge")
    return 1


@step
def leave(kind: str) -> None:
    raise KINDS[kind]("gone")


@step(timeout=20)
def leave_a_thread(kind: str) -> None:
    raise KINDS[kind]("gone")


@step
async def leave_later(kind: str) -> None:
    await asyncio.sleep(0)
    raise KINDS[kind]("gone")


@workflow
def in_a_step(kind: str) -> None:
    charge()
    leave(kind)


@workflow
def in_a_step_with_a_timeout(kind: str) -> None:
    charge()
    leave_a_thread(kind)


@workflow
def between_steps(kind: str) -> None:
    charge()
    raise KINDS[kind]("gone")


@workflow
def in_a_pool(kind: str) -> None:
    with perdure.ThreadPoolExecutor(2) as pool:
        pool.submit(charge).result()
        pool.submit(leave, kind).result()


@workflow
async def in_an_async_step(kind: str) -> None:
    charge()
    await leave_later(kind)


@workflow
async def in_a_sync_step_of_an_async_workflow(kind: str) -> None:
    charge()
    run_step("leave", leave, kind)


@workflow
async def in_async_code(kind: str) -> None:
    charge()
    raise KINDS[kind]("gone")


@workflow
async def in_a_task(kind: str) -> None:
    charge()
    await asyncio.create_task(leave_later(kind))


@workflow
async def in_a_thread(kind: str) -> None:
    charge()
    await perdure.to_thread(leave, kind)


@workflow
def caught(kind: str) -> str:
    try:
        leave(kind)
    except BaseException as error:
        if type(error).__name__ != kind:
            raise
    return f"caught {charge()}"


@step
def interrupt_itself() -> None:
    note("interrupt")
    os.kill(os.getpid(), signal.SIGINT)


@workflow
def signals_itself() -> None:
    charge()
    interrupt_itself()
