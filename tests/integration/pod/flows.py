"""Workflows of tests. They work in the current folder: `log` says what ran, files tell them what to do."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from perdure import Retry, ThreadPoolExecutor, now, sleep, step, step_context, workflow
from perdure.errors import RunCancelled


def log(line: str) -> None:
    file = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def there(name: str) -> bool:
    return Path(name).exists()


def wait_for(name: str) -> None:
    while not may_go(name):
        time.sleep(0.01)


def may_go(name: str) -> bool:
    """With a file `drain` only once the attempt knows that it is to stop, however slow the machine is.

    Likewise with a file `cancel`, once it knows that the run is cancelled; but for what is done about that.
    """
    if name == "go" and there("cancel") and not step_context().cancel_requested:
        return False
    return there(name) and (not there("drain") or step_context().branch.attempt._draining is not None)


@step
def note(text: str) -> str:
    log(f"note {text} {step_context().attempt}")
    return text


@step
def hold(text: str = "") -> int:
    log(f"hold {step_context().attempt}")
    wait_for(f"go{text}")
    return step_context().attempt


@step
async def async_note(text: str) -> str:
    log(f"note {text} {step_context().attempt}")
    return text


@step
async def async_hold(text: str = "") -> int:
    log(f"hold {step_context().attempt}")
    while not may_go(f"go{text}"):
        await asyncio.sleep(0.01)
    return step_context().attempt


@workflow
def held() -> list[object]:
    return [note("before"), hold(), note("after")]


@workflow
async def async_held() -> list[object]:
    return [await async_note("before"), await async_hold(), await async_note("after")]


@workflow
def stubborn() -> int:
    note("before")
    while True:
        try:
            return hold()
        except BaseException as error:
            log(f"swallowed {type(error).__name__}")


@workflow
async def async_stubborn() -> int:
    await async_note("before")
    while True:
        try:
            return await async_hold()
        except BaseException as error:
            log(f"swallowed {type(error).__name__}")


@workflow(cleanup=30)
def saga() -> None:
    note("before")
    try:
        hold("")
        note("never")
    except RunCancelled:
        note("undo")
        hold("undo")
        note("undone")


@workflow(cleanup=30)
async def async_saga() -> None:
    await async_note("before")
    try:
        await async_hold()
    except asyncio.CancelledError:
        await async_note("undo")
        await async_hold("undo")
        await async_note("undone")


@workflow(cleanup=1)
async def late_saga() -> None:
    try:
        await async_hold()
    finally:
        await async_hold("undo")


@workflow(cleanup=1)
def late_sync_saga() -> None:
    try:
        hold()
        note("never")
    finally:
        hold("undo")


@workflow
def never_ends() -> None:
    try:
        hold()
        note("never")
    finally:
        while True:
            time.sleep(0.05)


@step
def stubborn_step() -> int:
    log(f"hold {step_context().attempt}")
    while True:
        try:
            wait_for("go")
            if step_context().attempt > 1:
                return 2
            time.sleep(1)
        except BaseException as error:
            log(f"swallowed {type(error).__name__}")


@workflow
def stubborn_in_step() -> int:
    note("before")
    return stubborn_step()


@workflow
def in_threads() -> list[int]:
    with ThreadPoolExecutor() as pool:
        first, second = pool.submit(hold, "1"), pool.submit(note_after, hold, "2")
        return [first.result(), second.result()]


def note_after(step_: object, text: str) -> int:
    attempt = hold(text)
    note(f"after {text}")
    return attempt


@workflow
async def in_tasks() -> list[object]:
    async def second() -> int:
        attempt = await async_hold("2")
        await async_note("after 2")
        return attempt

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(async_hold("1")), group.create_task(second())]
    return [task.result() for task in tasks]


@workflow
async def asleep() -> str:
    await async_note("before")
    await asyncio.sleep(0 if there("go") else 3600)
    return "slept"


@workflow
def naps(seconds: float) -> list[str]:
    began = now()
    sleep(seconds)
    return [note(str(round((now() - began).total_seconds(), 3)))]


@workflow
async def async_naps(seconds: float) -> list[str]:
    began = now()
    await asyncio.sleep(seconds)
    return [await async_note(str(round((now() - began).total_seconds(), 3)))]


@workflow
async def charged_in_time(seconds: float) -> str:
    """Charges in a step, which a timeout cuts off."""
    await async_note("before")
    try:
        async with asyncio.timeout(seconds):
            await async_hold()
            return "charged"
    except TimeoutError:
        return "timed out"


@step(database=True)
def book() -> int:
    row = step_context().connection.execute("SELECT 1").fetchone()
    assert row is not None
    return int(row[0])


@workflow
def booking() -> list[int]:
    return [book(), hold(), book()]


@step(retry=Retry(tries=5, delay=600, jitter=False))
def failing() -> int:
    log(f"failing {step_context().attempt}")
    if not Path("go").exists():
        raise ConnectionError("not now")
    return 1


@workflow
def pausing() -> int:
    return failing()


@workflow
def ticking() -> None:
    for _ in range(10_000):
        tick()


@step
def tick() -> None:
    time.sleep(0.02)


@step
def die(how: str) -> None:
    log(f"die {step_context().attempt}")
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "os._exit":
            os._exit(0)
        case "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stack":
            sys.setrecursionlimit(10**9)
            _deeper(ctypes.PYFUNCTYPE(ctypes.c_int))
        case "sys.exit":
            sys.exit(3)
        case _:
            raise ValueError(how)


def _deeper(function: type) -> None:
    @function
    def deeper() -> int:
        return deeper() + 1

    deeper()


@workflow
def deadly(how: str) -> None:
    note("before")
    die(how)


@workflow
def with_child() -> None:
    spawn()


@step
def spawn() -> None:
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    log("spawned")
    wait_for("go")


@workflow
def raising() -> None:
    raise LookupError("nothing there")


def plain() -> None: ...


_READ_MEMORY = """
import sys
try:
    with open(f"/proc/{sys.argv[1]}/mem", "rb") as memory:
        memory.seek(int(open(f"/proc/{sys.argv[1]}/maps").readline().split("-")[0], 16))
        memory.read(16)
    print("readable", end="")
except OSError as error:
    print(type(error).__name__, end="")
"""


@step
def surroundings() -> dict[str, str]:
    """What a program sees that is started here, of the same user."""
    child, supervisor = os.getpid(), os.getppid()
    files = {"of the child": f"/proc/{child}/environ", "of the supervisor": f"/proc/{supervisor}/environ"}
    shown = {name: _printed("cat", file) for name, file in files.items()}
    shown["inherited"] = _printed("env")
    shown["arguments"] = _printed("cat", f"/proc/{child}/cmdline", f"/proc/{supervisor}/cmdline")
    return shown


@workflow
def shows_surroundings() -> dict[str, str]:
    return surroundings()


@step
def memory() -> dict[str, object]:
    reader = [sys.executable, "-c", _READ_MEMORY]
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        return {
            "user": os.getuid(),
            "of the child": _printed(*reader, str(os.getpid())),
            "of the supervisor": _printed(*reader, str(os.getppid())),
            "of a stranger's child": _printed(*reader, str(stranger.pid)),
        }
    finally:
        stranger.kill()
        stranger.wait()


@workflow
def shows_memory() -> dict[str, object]:
    return memory()


@workflow
def logs_everything() -> list[str]:
    logging.basicConfig(level=logging.DEBUG, force=True)
    logging.getLogger("psycopg").setLevel(logging.DEBUG)
    logging.getLogger("flows").debug("everything is logged from here on")
    return [note("one"), note("two")]


def _printed(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode(errors="replace").replace("\0", "\n")
