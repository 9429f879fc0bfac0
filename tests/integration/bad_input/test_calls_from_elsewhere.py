"""Steps called from where no branch of the run is: an error that names what to use, and never an undurable call."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from perdure import ThreadPoolExecutor, run_step, step, to_thread, workflow
from perdure.errors import StepCallError
from perdure.testing import DurableRun

ran: list[object] = []
POOL = concurrent.futures.ThreadPoolExecutor(2)
POOL.submit(int).result()  # its thread is older than every run


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@step
def note(what: str) -> str:
    ran.append(what)
    return what


@step
async def note_async(what: str) -> str:
    ran.append(what)
    return what


def _started_thread(start: Callable[[Callable[[], None]], object]) -> str:
    """What a call in another thread gives, or its error."""
    done = threading.Event()
    got: list[Any] = []

    def call() -> None:
        try:
            got.append(note("elsewhere"))
        except BaseException as error:
            got.append(error)
        done.set()

    start(call)
    done.wait()
    if isinstance(got[0], BaseException):
        raise got[0]
    return str(got[0])


class Own(threading.Thread):
    """A thread with a `run` of its own."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self.call = call

    def run(self) -> None:
        self.call()


@workflow
def raw_thread() -> str:
    return _started_thread(lambda call: threading.Thread(target=call).start())


@workflow
def own_thread() -> str:
    return _started_thread(lambda call: Own(call).start())


@workflow
def timer() -> str:
    return _started_thread(lambda call: threading.Timer(0, call).start())


@workflow
def bare_thread() -> str:
    return _started_thread(lambda call: _thread.start_new_thread(call, ()))


@workflow
def copied_context() -> str:
    context = contextvars.copy_context()
    return _started_thread(lambda call: threading.Thread(target=context.run, args=(call,)).start())


@workflow
def new_pool() -> list[str]:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(note, ["elsewhere"]))


@workflow
def old_pool() -> str:
    return POOL.submit(note, "elsewhere").result()


@workflow
def multiprocessing_thread_pool() -> str:
    with ThreadPool(1) as pool:
        return pool.apply(note, ["elsewhere"])


@workflow
def thread_of_a_branch() -> str:
    with ThreadPoolExecutor() as pool:
        return pool.submit(raw_thread).result()


@workflow
def loop_of_its_own() -> str:
    return asyncio.run(note_async("elsewhere"))


@workflow
def sync_step_in_a_loop_of_its_own() -> str:
    async def main() -> str:
        return note("elsewhere")

    return asyncio.run(main())


@workflow
def async_step_driven_by_hand() -> Any:
    return note_async("elsewhere").send(None)


@workflow
async def asyncio_to_thread() -> str:
    return await asyncio.to_thread(note, "elsewhere")


@workflow
async def run_in_executor() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, note, "elsewhere")


@workflow
async def run_in_old_pool() -> str:
    return await asyncio.get_running_loop().run_in_executor(POOL, note, "elsewhere")


@workflow
async def loop_in_a_thread() -> str:
    return await asyncio.to_thread(lambda: asyncio.run(note_async("elsewhere")))


@workflow
async def async_step_in_our_thread() -> str:
    return await to_thread(lambda: asyncio.run(note_async("elsewhere")))


@workflow
async def callback() -> str:
    future = asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            future.set_result(note("elsewhere"))
        except StepCallError as error:
            future.set_exception(error)

    asyncio.get_running_loop().call_soon(call)
    return await future


@workflow
async def task_left_behind() -> str:
    left: list[asyncio.Task[str]] = []

    async def later() -> str:
        await asyncio.sleep(0.01)
        return await note_async("elsewhere")

    async def leave() -> None:
        left.append(asyncio.create_task(later()))

    await run_step("leave", leave)
    return await left[0]


@workflow
def thread_left_behind() -> str:
    def leave(go: threading.Event, start: Callable[..., object]) -> None:
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(lambda: (go.wait(), start()),)).start()

    def through(call: Callable[[], None]) -> None:
        go = threading.Event()
        run_step("leave", leave, go, call)
        go.set()

    return _started_thread(through)


FROM_ELSEWHERE: list[Any] = [
    raw_thread,
    own_thread,
    timer,
    bare_thread,
    copied_context,
    new_pool,
    old_pool,
    multiprocessing_thread_pool,
    thread_of_a_branch,
    loop_of_its_own,
    sync_step_in_a_loop_of_its_own,
    async_step_driven_by_hand,
    asyncio_to_thread,
    run_in_executor,
    run_in_old_pool,
    loop_in_a_thread,
    async_step_in_our_thread,
    callback,
    task_left_behind,
    thread_left_behind,
]


@pytest.mark.parametrize("flow", FROM_ELSEWHERE, ids=lambda flow: flow.__name__)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_is_an_error_that_says_what_to_use(flow: Callable[[], Any]) -> None:
    with pytest.raises(StepCallError) as refused:
        DurableRun(flow).result()
    said = str(refused.value)
    assert "perdure.to_thread" in said or "make the workflow async" in said or "wait for it within the step" in said
    assert ran == []


PLAIN = [
    flow for flow in FROM_ELSEWHERE if flow is not async_step_driven_by_hand and "left_behind" not in flow.__name__
]


@pytest.mark.parametrize("flow", PLAIN, ids=lambda flow: flow.__name__)
def test_within_a_step_it_is_a_plain_call(flow: Any) -> None:
    """A step may use whatever threads and loops it likes; what it calls there is a part of it."""

    @workflow
    def outer() -> Any:
        return run_step("outer", flow)

    @workflow
    async def outer_async() -> Any:
        return await run_step("outer", flow)

    run = DurableRun(outer_async if inspect.iscoroutinefunction(flow) else outer)
    assert run.result() in ("elsewhere", ["elsewhere"])
    assert run.checkpoints == ["outer"]


@pytest.mark.parametrize("flow", PLAIN, ids=lambda flow: flow.__name__)
def test_outside_of_a_run_it_is_a_plain_call(flow: Any) -> None:
    result = asyncio.run(flow()) if inspect.iscoroutinefunction(flow) else flow()
    assert result in ("elsewhere", ["elsewhere"])


def test_threads_of_ours_may_call_steps() -> None:
    @workflow
    def pooled() -> list[str]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(note, ["a", "b"]))

    @workflow
    async def threaded() -> str:
        return await to_thread(note, "c")

    assert DurableRun(pooled).result() == ["a", "b"]
    assert DurableRun(threaded).result() == "c"
