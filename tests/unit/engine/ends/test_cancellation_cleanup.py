"""Cleanup on cancel: the workflow is told once, at the same place on every replay, and its steps run from there on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import pytest

import perdure
from perdure import step, workflow
from perdure.claimed_attempt import ClaimedAttempt
from perdure.engine.branches.attempt import Attempt
from perdure.engine.ends.cancellation import allow_cleanup
from perdure.engine.order.journal import Recorded
from perdure.errors import DefinitionError, RunCancelled, RunWasCancelled
from perdure.names import RunId, Token
from perdure.testing import AttemptReport, DurableRun


class Saga:
    """Steps that note what they did; the run is cancelled in the one named `cancel_in`, or between two attempts."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.told = 0
        self.cancel: Callable[[], None] = lambda: None
        self.cancel_in = ""

    def act(self, name: str) -> str:
        self.did.append(name)
        if name == self.cancel_in:
            self.cancel()
        return name


saga = Saga()


@step
def act(name: str) -> str:
    return saga.act(name)


@step
async def act_async(name: str) -> str:
    saga.act(name)
    # Long enough to be under way when the cancellation comes.
    await asyncio.sleep(0.02)
    return name


@workflow(cleanup=60)
def order() -> str:
    done = []
    try:
        for name in ("reserve", "charge", "ship"):
            done += [act(name)]
    except RunCancelled:
        saga.told += 1
        for name in reversed(done):
            act(f"undo {name}")
        raise
    return "shipped"


@workflow(cleanup=60)
async def order_async() -> str:
    done = []
    try:
        for name in ("reserve", "charge", "ship"):
            done += [await act_async(name)]
    except asyncio.CancelledError:
        saga.told += 1
        for name in reversed(done):
            await act_async(f"undo {name}")
        raise
    return "shipped"


@workflow(cleanup=60)
async def order_inline() -> str:
    """Sync steps in an async workflow: nothing in it ever waits."""
    done = []
    try:
        for name in ("reserve", "charge", "ship"):
            done += [act(name)]
    except asyncio.CancelledError:
        saga.told += 1
        for name in reversed(done):
            act(f"undo {name}")
        raise
    return "shipped"


@workflow(cleanup=60)
async def asleep() -> None:
    await act_async("before")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3600))
            group.create_task(cancels_soon())
    finally:
        saga.told += 1
        await act_async("undo before")
        await asyncio.sleep(0.01)
        await act_async("end")


async def cancels_soon() -> None:
    await act_async("in a task")
    await asyncio.Event().wait()


@workflow(cleanup=60)
async def gathers() -> None:
    async def one(name: str) -> None:
        try:
            await act_async(name)
            await asyncio.sleep(3600)
        finally:
            await act_async(f"undo {name}")

    try:
        await asyncio.gather(one("in a task"), one("b"), one("c"))
    finally:
        saga.told += 1
        await act_async("end")


@workflow(cleanup=60)
def in_threads() -> None:
    with perdure.ThreadPoolExecutor(3) as pool:
        try:
            list(pool.map(act, ["a", "in a task", "c"]))
            act("never")
        except RunCancelled:
            saga.told += 1
            list(pool.map(act, ["undo a", "undo c"]))
            act("end")


@pytest.fixture(autouse=True)
def fresh() -> None:
    global saga
    saga = Saga()


def cancelled(program: Any, where: str) -> DurableRun:
    """A run that a step of it will cancel."""
    global saga
    saga = Saga()
    run = DurableRun(program)
    saga.cancel, saga.cancel_in = run.cancel, where
    return run


def finish(run: DurableRun) -> AttemptReport:
    report = run.attempt()
    assert report.state == "cancelled", report
    return report


PROGRAMS: list[tuple[Any, str, list[str]]] = [
    (order, "charge", ["undo charge", "undo reserve"]),
    (order_inline, "charge", ["undo charge", "undo reserve"]),
    (order_async, "charge", ["undo reserve"]),
    (asleep, "in a task", ["undo before", "end"]),
    (gathers, "in a task", ["undo in a task", "undo b", "undo c", "end"]),
    (in_threads, "in a task", ["undo a", "undo c", "end"]),
]
SEVERAL = (gathers, in_threads)
ids = [program.definition.function.__name__ for program, _, _ in PROGRAMS]


@pytest.mark.parametrize(("program", "where", "undone"), PROGRAMS, ids=ids)
def test_undoes_what_it_did(program: Any, where: str, undone: list[str]) -> None:
    run = cancelled(program, where)
    finish(run)
    assert saga.told == 1
    assert "ship" not in saga.did
    did = [name for name in saga.did if name.startswith("undo") or name == "end"]
    assert (sorted(did) if program in SEVERAL else did) == (sorted(undone) if program in SEVERAL else undone)
    assert "perdure.cancel" in run.checkpoints
    with pytest.raises(RunWasCancelled):
        run.result()


@pytest.mark.parametrize(("program", "where", "undone"), PROGRAMS, ids=ids)
def test_goes_on_where_it_was_whatever_died(program: Any, where: str, undone: list[str]) -> None:
    undisturbed = cancelled(program, where)
    finish(undisturbed)
    for count, key in enumerate(undisturbed.checkpoints, start=1):
        for place in ((count, None), (None, key)):
            run = cancelled(program, where)
            report = run._attempt(*place)
            if not report.killed:
                continue
            # What a step asked for before it died is asked for all the same.
            run.cancel()
            finish(run)
            assert run.checkpoints.count("perdure.cancel") == 1
            replayed = run.replay()
            assert replayed.executed == [], (place, run.attempts, replayed)


@pytest.mark.parametrize(("program", "where", "undone"), PROGRAMS, ids=ids)
def test_dies_again_and_again(program: Any, where: str, undone: list[str]) -> None:
    run = cancelled(program, where)
    for _ in range(40):
        report = run._attempt(1, None)
        if not report.killed:
            break
        if where in saga.did:
            run.cancel()
    assert report.state == "cancelled"
    assert run.replay().executed == []
    for name in undone:
        # Of several branches more than one step is under way when the attempt dies.
        assert saga.did.count(name) == 1 or program in SEVERAL, saga.did


def test_a_run_that_was_cancelled_while_nobody_ran_it_begins_no_step() -> None:
    run = DurableRun(order_async)
    run.attempt(kill_after=1)
    run.cancel()
    finish(run)
    assert saga.did == ["reserve", "undo reserve"]
    assert saga.told == 1


def test_a_run_that_ends_before_it_is_told_has_ended_so() -> None:
    run = cancelled(order, "ship")
    assert run.result() == "shipped"
    assert saga.told == 0


@step
async def act_at_once(name: str) -> str:
    return saga.act(name)


@step
async def act_after_a_turn(name: str) -> str:
    saga.act(name)
    await asyncio.sleep(0)
    return name


def _ends_with(last: Callable[[str], Any]) -> Any:
    @workflow(cleanup=60)
    async def ends() -> str:
        try:
            await last("reserve")
            await last("ship")
        except asyncio.CancelledError:
            saga.told += 1
            raise
        return "shipped"

    return ends


@workflow(cleanup=60)
def ends_in_a_pool() -> str:
    with perdure.ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(act, "ship").result()
        except RunCancelled:
            saga.told += 1
            raise
    return "shipped"


@pytest.mark.parametrize(
    "program",
    [_ends_with(act_at_once), _ends_with(act_after_a_turn), ends_in_a_pool],
    ids=["behind the last outcome", "before the last outcome", "in a pool"],
)
def test_a_run_whose_code_could_not_be_told_any_more_has_ended_as_it_did(program: Any) -> None:
    """The cancellation comes while the last outcome is on its way."""
    run = cancelled(program, "ship")
    run.attempt()
    assert (run.attempts[-1].state, saga.told) == ("succeeded", 0)
    assert run.replay().state == "succeeded"
    for count in range(1, len(run.checkpoints) + 1):
        again = cancelled(program, "ship")
        if again._attempt(count, None).killed:
            saga.told = 0
            again.attempt()
            assert (again.attempts[-1].state == "cancelled") == bool(saga.told), count


def test_a_run_without_an_attempt_ends_at_once() -> None:
    run = DurableRun(order)
    run.cancel()
    assert run.ended
    with pytest.raises(RunWasCancelled):
        run.result()
    assert saga.did == []


@workflow
async def careless() -> None:
    try:
        await act_async("reserve")
        await asyncio.sleep(3600)
    finally:
        await act_async("undo reserve")


def test_without_cleanup_such_steps_are_skipped() -> None:
    run = cancelled(careless, "reserve")
    finish(run)
    assert saga.did == ["reserve"]


def test_what_the_cleanup_raises_is_kept() -> None:
    @workflow(cleanup=1)
    def fails() -> None:
        try:
            act("reserve")
            act("charge")
        except RunCancelled as error:
            raise LookupError("nothing to undo") from error

    run = cancelled(fails, "reserve")
    finish(run)
    with pytest.raises(RunWasCancelled) as caught:
        run.result()
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_swallowed_cancellation_is_one_all_the_same() -> None:
    @workflow(cleanup=1)
    async def swallows() -> str:
        with suppress(asyncio.CancelledError):
            await act_async("reserve")
        await act_async("goes on")
        return "done"

    run = cancelled(swallows, "reserve")
    finish(run)
    assert saga.did == ["reserve", "goes on"]


@pytest.mark.parametrize("cleanup", [0, -1, True, 86_401, float("nan"), float("inf"), "60"])
def test_refused(cleanup: Any) -> None:
    with pytest.raises(DefinitionError, match="cleanup="):
        workflow(cleanup=cleanup)(lambda_free)


def lambda_free() -> None: ...


def test_a_cancellation_before_the_code_runs_again_is_not_taken_for_calls_that_do_not_come() -> None:
    claimed = ClaimedAttempt(
        run_id=RunId(uuid4()), id="run", token=Token(uuid4()), number=2, entrypoint="m:f", input="{}", cleanup=60.0
    )
    stores_nothing = cast("Any", None)
    attempt = Attempt(claimed, [Recorded("act", 1, 1, 1, 100, '"reserve"', None)], stores_nothing)
    allow_cleanup(attempt)
    assert not attempt.cancel("by a test")
    assert attempt.signal is None
