"""Workflows that fork, and that take more memory than there is. `log` in the current folder says what ran."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from perdure import ThreadPoolExecutor, step, step_context, workflow

# Python 3.12 and newer warn of forks beside threads.
warnings.simplefilter("ignore", DeprecationWarning)


def log(line: str) -> None:
    file = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


@step
def note(text: str) -> str:
    log(f"note {text}")
    return text


@step
async def async_note(text: str) -> str:
    log(f"note {text}")
    return text


def _child(how: str) -> None:
    match how:
        case "sys.exit":
            sys.exit(3)
        case "text":
            sys.exit("child's last words")
        case "raise":
            raise LookupError("in the child")
        case "call":
            note("called in the child")
            os._exit(4)
        case "os._exit":
            os._exit(5)
        case _:
            pass


def _fork(how: str) -> int | None:
    """The child's exit code; None in a child that would go on."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _child(how)
    return None


@step
def forks(how: str) -> int | None:
    return _fork(how)


@step(timeout=20)
def forks_in_time(how: str) -> int | None:
    return _fork(how)


@step
async def async_forks(how: str) -> int | None:
    return _fork(how)


@workflow
def in_step(hows: list[str]) -> list[object]:
    return [note("before"), *[forks(how) for how in hows], note("after")]


@workflow
def in_timed_step(hows: list[str]) -> list[object]:
    return [note("before"), *[forks_in_time(how) for how in hows], note("after")]


@workflow
async def in_async_step(hows: list[str]) -> list[object]:
    return [await async_note("before"), *[await async_forks(how) for how in hows], await async_note("after")]


@workflow
def in_workflow(hows: list[str]) -> list[object]:
    return [note("before"), *[_fork(how) for how in hows], note("after")]


@workflow
async def in_async_workflow(hows: list[str]) -> list[object]:
    return [await async_note("before"), *[_fork(how) for how in hows], await async_note("after")]


@workflow
def in_thread(hows: list[str]) -> list[object]:
    with ThreadPoolExecutor() as pool:
        return pool.submit(in_workflow, hows).result()


def _square(queue: multiprocessing.SimpleQueue[int], number: int) -> None:
    queue.put(number**2)
    sys.exit(number)


@step
def pooled(method: str) -> list[int]:
    context: Any = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    processes = [context.Process(target=_square, args=(queue, n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 1, 2, 3]
    return sorted(queue.get() for _ in processes)


@step
def mapped() -> list[int]:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3])


@workflow
def with_processes() -> list[object]:
    return [note("before"), pooled("fork"), note("between"), pooled("spawn"), mapped(), note("after")]


@workflow
def calls_a_step_in_a_process() -> list[object]:
    process = multiprocessing.get_context("fork").Process(target=note, args=("in a process",))
    process.start()
    process.join()
    return [note("before"), process.exitcode]


@step
def hog(megabytes: int) -> int:
    log(f"hog {step_context().attempt}")
    while not os.path.exists("go"):
        time.sleep(0.01)
    if step_context().attempt > 1:
        return 0
    return len([b"x" * (1 << 20) for _ in range(megabytes)])


@workflow
def hungry(megabytes: int) -> list[object]:
    return [note("before"), hog(megabytes), note("after")]


@step
def limited_hog() -> int:
    log("limited hog")
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20), before[1]))
    try:
        return len(bytearray(1 << 30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@workflow
def limited() -> list[object]:
    note("before")
    try:
        return [limited_hog()]
    except MemoryError:
        return ["too much", note("after")]


def _never_joined(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


@workflow
def leaves_threads() -> str:
    """Ends while a thread of it sleeps: nobody waits for that."""
    _never_joined(threading.Event().wait)  # type: ignore[arg-type]
    return note("only")
