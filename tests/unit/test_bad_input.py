"""What people get wrong in a workflow: each is refused with a sentence that says what to change; nothing half works."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from perdure import now, random, run_step, step, uuid4, workflow
from perdure.errors import (
    DefinitionError,
    InputError,
    NondeterminismError,
    PerdureError,
    StepTimeout,
    ValueNotReadable,
    ValueNotStorable,
)
from perdure.testing import DurableRun

ran: list[object] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@step
def note(what: Any) -> Any:
    ran.append(what)
    return what


@step
async def note_async(what: Any) -> Any:
    ran.append(what)
    return what


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


class Opaque: ...


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Opaque(), "which has no JSON form"),
        (math.nan, "is nan, which JSON does not have; use None or text"),
        (-math.inf, "is -inf, which JSON does not have"),
        ("a\ud800", "has a lone surrogate ('\\ud800') at index 1"),
        ("a\x00b", "has a NUL character (U+0000) at index 1, which Postgres cannot store in text; remove it"),
        ({"deep": ["a\x00b"]}, "result['deep'][0] has a NUL character"),
        (_nested(300), "is nested deeper than 200 levels; store it flat"),
        (_nested(50_000), "is nested deeper than 200 levels"),
        ("x" * (1 << 20), "1,048,576 are the most; store big data elsewhere"),
        ((1, 2), "would be read back as a list"),
        ({1: "a"}, "has the key 1"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_result_that_cannot_be_stored_is_the_steps_error_once_and_for_all(
    value: Any, why: str, is_async: bool
) -> None:
    """The body ran, so the error is recorded like any other: a workflow may handle it, and sees the same on replay."""

    def refused(error: ValueNotStorable) -> str:
        ran.append("refused")
        return str(error)

    @workflow
    def flow() -> str:
        try:
            run_step("make", lambda: value)
        except ValueNotStorable as error:
            return refused(error) + str(note("after"))
        return "stored"

    @workflow
    async def async_flow() -> str:
        async def make() -> Any:
            return value

        try:
            await run_step("make", make)
        except ValueNotStorable as error:
            return refused(error) + str(await note_async("after"))
        return "stored"

    run = DurableRun(async_flow if is_async else flow)
    run.attempt(kill_after=1)
    result = run.result()
    assert why in result
    assert "step 'make'" in result
    assert ran[-2:] == ["refused", "after"]
    assert run.checkpoints == ["make", "note_async" if is_async else "note"]


def test_a_result_of_the_workflow_that_cannot_be_stored_fails_the_run() -> None:
    @workflow
    def flow() -> Any:
        note(1)
        return Opaque()

    with pytest.raises(ValueNotStorable, match=r"workflow '.*flow': result is an Opaque, which has no JSON form"):
        DurableRun(flow).result()


def test_input_that_does_not_fit_starts_nothing_and_names_the_argument() -> None:
    @workflow
    def flow(amount: int) -> None:
        note(amount)

    run = DurableRun(flow, 3)
    run._input = '{"amount": "three"}'  # as somebody else wrote it
    with pytest.raises(InputError, match="amount"):
        run.result()
    with pytest.raises(InputError, match="amount"):
        DurableRun(flow, "three")
    with pytest.raises(InputError, match="missing"):
        DurableRun(flow)
    assert ran == []


def _yields() -> Iterator[int]:
    yield 1


async def _yields_async() -> AsyncIterator[int]:
    yield 1


class Bank:
    def __init__(self, fee: int) -> None:
        self.fee = fee

    @step
    def charge(self, amount: int) -> int:
        ran.append(amount)
        return amount + self.fee

    @staticmethod
    @step
    def static(amount: int) -> int:
        return amount

    @classmethod
    @step
    def of_class(cls, amount: int) -> str:
        return f"{cls.__name__} {amount}"

    def plain(self, amount: int) -> int:
        return amount + self.fee


@pytest.mark.parametrize(
    ("define", "why"),
    [
        (lambda: step(_yields), "is a generator: what it yields could not be recorded one by one; return a list"),
        (lambda: step(_yields_async), "is a generator"),
        (lambda: workflow(_yields), "is a generator"),
        (lambda: run_step("many", _yields), "is a generator"),
        (lambda: step(lambda: 1), "use run_step('name', ...) or @step(name='...')"),
        (lambda: workflow(lambda: 1), "write a function with a name"),
        (lambda: workflow(Bank), "goes on a function, not on a type"),
        (lambda: workflow(Bank(1).plain), "goes on a function, not on a method"),
        (lambda: step(Bank), "goes on a function"),
        (lambda: step(staticmethod(_yields)), "put @step below @staticmethod"),
        (lambda: step(3), "goes on a function, not on 3"),  # type: ignore[call-overload]
        (lambda: step(name="a/b")(_nested), "cannot contain '/'"),
        (lambda: step(name="a#2")(_nested), "cannot contain '#'"),
        (lambda: step(name="a\x00")(_nested), "cannot contain '\\x00'"),
        (lambda: step(name="a\ud800")(_nested), "cannot contain '\\ud800'"),
        (lambda: step(name="é" * 257)(_nested), "has 514 bytes, 512 are the most"),
        (lambda: step(name=" ")(_nested), "is empty; give it one"),
        (lambda: step(name="perdure.now")(_nested), "are Perdure's own; use another name"),
        (lambda: run_step("a/b", _nested, 1), "use another name"),
    ],
)
def test_what_cannot_be_a_step_or_a_workflow_is_refused_where_it_is_defined(
    define: Callable[[], object], why: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        define()
    assert why in str(refused.value)


def test_a_name_of_512_bytes_is_one() -> None:
    name = "é" * 256

    @workflow
    def flow() -> None:
        run_step(name, int)
        run_step(name, int)

    run = DurableRun(flow)
    run.result()
    assert run.checkpoints == [name, f"{name}#2"]


def test_methods_closures_and_callables_are_steps_of_their_own_objects() -> None:
    @dataclasses.dataclass(frozen=True)
    class Adder:
        """Equal to every other one, and yet another function."""

        amount: int = dataclasses.field(compare=False)

        def __call__(self, to: int) -> int:
            return to + self.amount

    def closure(amount: int) -> Callable[[int], int]:
        return lambda to: to + amount

    @workflow
    def flow() -> list[Any]:
        return [
            Bank(1).charge(10),
            Bank(2).charge(10),
            Bank.static(3),
            Bank.of_class(4),
            run_step("method", Bank(5).plain, 10),
            run_step("method", Bank(6).plain, 10),
            run_step("closure", closure(7), 10),
            run_step("closure", closure(8), 10),
            run_step("callable", Adder(9), 10),
            run_step("callable", Adder(10), 10),
        ]

    run = DurableRun(flow)
    assert run.result() == [11, 12, 3, "Bank 4", 15, 16, 17, 18, 19, 20]
    assert run.checkpoints == [
        "charge",
        "charge#2",
        "static",
        "of_class",
        *("method", "method#2", "closure", "closure#2", "callable", "callable#2"),
    ]
    assert run.replay().executed == []


def test_a_callable_without_a_hash_is_a_step() -> None:
    @dataclasses.dataclass
    class Adder:
        amount: int

        def __call__(self, to: int) -> int:
            return to + self.amount

    @workflow
    def flow() -> list[int]:
        return [run_step("add", Adder(1), 10), run_step("add", Adder(2), 10)]

    assert DurableRun(flow).result() == [11, 12]


def test_an_object_whose_call_is_async_is_an_async_step() -> None:
    class Fetch:
        async def __call__(self) -> str:
            await asyncio.sleep(0)
            return "fetched"

    @workflow
    async def flow() -> str:
        return await run_step("fetch", Fetch())

    assert DurableRun(flow).result() == "fetched"


def test_a_coroutine_that_nobody_awaited_is_no_result() -> None:
    @workflow
    def sync_flow() -> Any:
        return note_async(1)

    @workflow
    async def flow() -> Any:
        return await run_step("fetch", lambda: note_async(1))

    for one in (sync_flow, flow):
        with pytest.raises(ValueNotStorable, match="is a coroutine, which has no JSON form; await it"):
            DurableRun(one).result()
    assert ran == []


def test_two_functions_of_one_name_are_told_apart_by_their_order() -> None:
    def make(result: str) -> Callable[[], str]:
        @step(name="same")
        def one() -> str:
            ran.append(result)
            return result

        return one

    first, second = make("first"), make("second")

    @workflow
    def flow() -> list[str]:
        return [first(), second(), first()]

    run = DurableRun(flow)
    run.attempt(kill_after=2)
    assert run.result() == ["first", "second", "first"]
    assert run.checkpoints == ["same", "same#2", "same#3"]
    assert ran == ["first", "second", "first"]


def test_a_step_in_a_step_is_a_plain_call_and_a_part_of_it() -> None:
    @step
    def outer() -> list[Any]:
        return [note(1), run_step("inner", int, "2"), str(now())[:2], 0 <= random() < 1, uuid4().version]

    @step
    async def outer_async() -> list[Any]:
        return list(await asyncio.gather(note_async(3), note_async(4)))

    @workflow
    async def flow() -> list[Any]:
        return [outer(), await outer_async()]

    run = DurableRun(flow)
    assert run.result() == [[1, 2, "20", True, 4], [3, 4]]
    assert run.checkpoints == ["outer", "outer_async"]


def test_a_workflow_in_a_workflow_runs_inline() -> None:
    @workflow
    def inner(what: str) -> str:
        return str(note(what)) + "!"

    @workflow
    async def inner_async(what: str) -> str:
        return str(await note_async(what)) + "?"

    @workflow
    async def outer() -> list[str]:
        return [inner("a"), inner("b"), await inner_async("c")]

    run = DurableRun(outer)
    run.attempt(kill_after=2)
    assert run.result() == ["a!", "b!", "c?"]
    assert run.checkpoints == ["note", "note#2", "note_async"]
    assert ran == ["a", "b", "c"]


def test_generators_between_steps_are_plain_python() -> None:
    @workflow
    def flow() -> list[int]:
        def each() -> Iterator[int]:
            for n in range(3):
                yield note(n)

        return list(each())

    run = DurableRun(flow)
    run.attempt(kill_after=2)
    assert run.result() == [0, 1, 2]
    assert ran == [0, 1, 2]


def test_a_result_whose_type_changed_stops_the_run_and_names_the_step() -> None:
    @dataclasses.dataclass
    class Old:
        amount: int

    @dataclasses.dataclass
    class New:
        amount: int
        currency: str

    def flow_with(kind: Any) -> Any:
        def charge() -> Any:
            return Old(3)

        charge.__annotations__["return"] = kind

        @workflow
        def flow() -> None:
            try:
                run_step("charge", charge)
            except Exception:
                ran.append("handled")

        return flow

    run = DurableRun(flow_with(Old))
    run.result()
    with pytest.raises(ValueNotReadable, match=r"step 'charge': .*currency") as stopped:
        run.replay(flow_with(New))
    assert "start a new run" in str(stopped.value)
    assert ran == []


def test_a_step_under_another_name_stops_the_run_before_it_is_called() -> None:
    @workflow
    def before() -> None:
        run_step("charge", int)
        run_step("ship", int)

    @workflow
    def after() -> None:
        run_step("charge", int)
        run_step("pack", lambda: ran.append("packed"))
        run_step("ship", int)

    run = DurableRun(before)
    run.result()
    with pytest.raises(NondeterminismError, match=r"recorded 'ship' next .* now calls 'pack'"):
        run.replay(after)
    assert ran == []


class Halt(BaseException):
    """An error that `except Exception` does not see."""


@pytest.mark.parametrize(
    "error", [Halt("enough"), SystemExit(3), GeneratorExit(), asyncio.CancelledError(), MemoryError()]
)
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_step_raises_is_its_outcome(error: BaseException, is_async: bool) -> None:
    def fail() -> None:
        ran.append("failed")
        raise error

    async def fail_async() -> None:
        fail()

    def handled(raised: BaseException) -> str:
        return type(raised).__name__

    @workflow
    def flow() -> str:
        try:
            run_step("fail", fail)
        except BaseException as raised:
            note("after")
            return handled(raised)
        return ""

    @workflow
    async def async_flow() -> str:
        try:
            await run_step("fail", fail_async)
        except BaseException as raised:
            await note_async("after")
            return handled(raised)
        return ""

    run = DurableRun(async_flow if is_async else flow)
    run.attempt(kill_after=1)
    assert run.result() == type(error).__name__
    assert ran == ["failed", "after"]


@pytest.mark.parametrize("error", [Halt("enough"), SystemExit(3), GeneratorExit(), KeyboardInterrupt()])
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_workflow_raises_is_the_runs_failure(error: BaseException, is_async: bool) -> None:
    @workflow
    def flow() -> None:
        note(1)
        raise error

    @workflow
    async def async_flow() -> None:
        await note_async(1)
        raise error

    run = DurableRun(async_flow if is_async else flow)
    assert run.attempt().state == "failed"
    with pytest.raises(type(error)):
        run.result()


@pytest.mark.parametrize("is_async", [False, True])
def test_ctrl_c_is_no_outcome_of_anything(is_async: bool) -> None:
    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    async def interrupted_async() -> None:
        signal.raise_signal(signal.SIGINT)

    @workflow
    def flow() -> None:
        run_step("step", interrupted)

    @workflow
    async def async_flow() -> None:
        await run_step("step", interrupted_async)

    run = DurableRun(async_flow if is_async else flow)
    with pytest.raises(KeyboardInterrupt):
        run.attempt()
    assert (run.ended, run.checkpoints) == (False, [])


@pytest.mark.parametrize("is_async", [False, True])
def test_recursion_without_end_is_an_error_of_the_step(is_async: bool) -> None:
    def deeper(n: int) -> int:
        return deeper(n + 1)

    async def deeper_async(n: int) -> int:
        return await deeper_async(n + 1)

    @workflow
    def flow() -> None:
        run_step("deep", deeper, 0)

    @workflow
    async def async_flow() -> None:
        await run_step("deep", deeper_async, 0)

    run = DurableRun(async_flow if is_async else flow)
    with pytest.raises(RecursionError):
        run.result()
    assert run.checkpoints == ["deep"]


def test_a_step_called_on_the_last_frames_of_the_stack_is_not_half_done() -> None:
    """What is left of the stack may not do for the engine: then the step is done or it is not, nothing in between."""

    @workflow
    def flow() -> list[int]:
        done = []

        def deeper(n: int) -> None:
            try:
                deeper(n + 1)
            except RecursionError:
                done.append(n)
                if len(done) <= 60:
                    raise
            else:
                return
            note(n)

        deeper(0)
        return [note("end")]

    run = DurableRun(flow)
    try:
        run.result()
    except (RecursionError, PerdureError):
        return
    assert run.replay().executed == []


def test_a_timeout_of_a_sync_step_says_so() -> None:
    @step(timeout=0.05)
    def slow() -> None:
        while True:
            time.sleep(0.001)

    @workflow
    def flow() -> None:
        slow()

    with pytest.raises(StepTimeout, match=r"step 'slow' ran longer than its timeout of 0\.05 s"):
        DurableRun(flow).result()


def test_sys_exit_with_a_text_is_kept_as_it_was() -> None:
    @workflow
    def flow() -> str:
        try:
            run_step("leave", sys.exit, "not today")
        except SystemExit as error:
            return str(error.code)
        return ""

    run = DurableRun(flow)
    run.attempt(kill_after=1)
    assert run.result() == "not today"
