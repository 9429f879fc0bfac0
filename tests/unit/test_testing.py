"""`perdure.testing`, as an author of workflows uses it: on the real engine, with checkpoints in memory."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import Future

import pytest

import perdure
from perdure import NondeterminismError, Retry, step, step_context, workflow
from perdure.errors import InputError, RunWasCancelled, UsageError
from perdure.testing import DurableRun, kills


class Broke(Exception):
    pass


@pytest.fixture
def calls():
    """Whoever ran, in order."""
    return []


@pytest.fixture
def transfer(calls):
    @step
    def withdraw(amount: int) -> int:
        calls.append("withdraw")
        return amount

    @step
    def deposit(amount: int) -> str:
        calls.append("deposit")
        return f"receipt for {amount}"

    @workflow
    def transfer(amount: int) -> str:
        return deposit(withdraw(amount))

    return transfer


def test_an_undisturbed_run_executes_each_step_once(transfer, calls):
    run = DurableRun(transfer, 100)
    report = run.attempt()
    assert (report.executed, report.replayed, report.stored) == (["withdraw", "deposit"], [], ["withdraw", "deposit"])
    assert (report.state, report.killed, run.ended) == ("succeeded", False, True)
    assert run.result() == "receipt for 100"
    assert run.checkpoints == calls == ["withdraw", "deposit"]


def test_result_runs_what_has_not_run(transfer, calls):
    run = DurableRun(transfer, amount=100)
    assert run.result() == run.result() == "receipt for 100"
    assert len(run.attempts) == 1


def test_kill_after_a_checkpoint_leaves_that_step_done(transfer, calls):
    run = DurableRun(transfer, 100)
    first = run.attempt(kill_after=1)
    assert (first.killed, first.state, run.ended, run.checkpoints) == (True, None, False, ["withdraw"])
    second = run.attempt()
    assert (second.number, second.executed, second.replayed) == (2, ["deposit"], ["withdraw"])
    assert run.result() == "receipt for 100"
    assert calls == ["withdraw", "deposit"]


def test_kill_in_a_step_runs_its_body_again(transfer, calls):
    run = DurableRun(transfer, 100)
    first = run.attempt(kill_in="deposit")
    assert (first.killed, first.executed, first.stored) == (True, ["withdraw", "deposit"], ["withdraw"])
    assert run.attempt().executed == ["deposit"]
    assert calls == ["withdraw", "deposit", "deposit"]


def test_kill_after_counts_the_checkpoints_of_its_attempt(transfer):
    run = DurableRun(transfer, 100)
    run.attempt(kill_after=1)
    second = run.attempt(kill_after=1)
    assert (second.stored, second.killed, run.ended) == (["deposit"], True, False)
    third = run.attempt()
    assert (third.executed, third.replayed) == ([], ["withdraw", "deposit"])


@pytest.mark.parametrize("place", [{"kill_after": 3}, {"kill_in": "deposti"}])
def test_a_place_that_the_attempt_never_reaches_is_an_error(transfer, place):
    with pytest.raises(UsageError, match=r"was to die .* and ended before; it stored \['withdraw', 'deposit'\]"):
        DurableRun(transfer, 100).attempt(**place)


def test_an_ended_run_takes_no_attempt(transfer):
    run = DurableRun(transfer, 100)
    run.attempt()
    with pytest.raises(UsageError, match="has ended"):
        run.attempt()


def test_only_workflows_are_run():
    with pytest.raises(UsageError, match="mark it @workflow"):
        DurableRun(len, [])


def test_input_goes_through_the_signature(transfer):
    with pytest.raises(InputError, match="amount"):
        DurableRun(transfer, "much")


def test_kills_dies_once_at_each_place(transfer, calls):
    runs = list(kills(transfer, 100))
    assert [(r.attempts[0].executed, r.checkpoints) for r in runs] == [
        (["withdraw"], ["withdraw"]),
        (["withdraw"], []),
        (["withdraw", "deposit"], ["withdraw", "deposit"]),
        (["withdraw", "deposit"], ["withdraw"]),
    ]
    assert {r.result() for r in runs} == {"receipt for 100"}


def test_a_workflow_that_decides_by_chance_is_reported(calls):
    @step
    def heads() -> None: ...

    @step
    def tails() -> None: ...

    coin = iter([True, False])

    @workflow
    def toss() -> None:
        heads() if next(coin) else tails()

    run = DurableRun(toss)
    run.attempt(kill_after=1)
    assert run.attempt().state == "failed"
    with pytest.raises(NondeterminismError, match=r"recorded 'heads' next .* and now calls 'tails'"):
        run.result()


def test_replay_changes_nothing(transfer, calls):
    run = DurableRun(transfer, 100)
    run.attempt(kill_after=1)
    assert run.replay().executed == ["deposit"]
    assert run.checkpoints == ["withdraw"]
    assert len(run.attempts) == 1
    run.attempt()
    assert run.replay().replayed == ["withdraw", "deposit"]
    assert calls == ["withdraw", "deposit", "deposit"]


def test_replay_says_whether_changed_code_goes_on_with_old_runs(transfer):
    @step
    def withdraw(amount: int) -> int:
        return amount

    @workflow
    def longer(amount: int) -> str:
        return perdure.run_step("thank", lambda kept: f"thank you for {kept}", withdraw(amount))

    @workflow
    def other(amount: int) -> str:
        return perdure.run_step("thank", lambda kept: f"thank you for {kept}", amount)

    run = DurableRun(transfer, 100)
    run.attempt(kill_after=1)
    assert run.replay(longer).executed == ["thank"]
    with pytest.raises(NondeterminismError, match="recorded 'withdraw' next"):
        run.replay(other)
    assert run.result() == "receipt for 100"


def test_a_failed_step_raises_its_own_type_again_on_replay(calls):
    @step
    def fail() -> None:
        calls.append("fail")
        raise Broke("in the middle")

    @step
    def note(what: str) -> str:
        return what

    @workflow
    def careful() -> str:
        try:
            fail()
        except Broke as error:
            return note(str(error))
        return "fine"

    for run in kills(careful):
        assert run.result() == "in the middle"
    calls.clear()
    run = DurableRun(careful)
    run.attempt(kill_after=1)
    assert run.result() == "in the middle"
    assert calls == ["fail"]


def test_a_failed_workflow_raises_its_own_type():
    @workflow
    def fail() -> None:
        raise Broke("at the end")

    run = DurableRun(fail)
    assert run.attempt().state == "failed"
    with pytest.raises(Broke, match="at the end"):
        run.result()
    with pytest.raises(Broke, match="at the end"):
        run.replay()


def test_tries_begin_anew_and_the_idempotency_key_stays(calls):
    keys = set()

    @step(retry=Retry(tries=3, delay=0))
    def shaky() -> int:
        context = step_context()
        keys.add(context.idempotency_key)
        calls.append((context.attempt, context.tries))
        if context.tries < 3:
            raise OSError
        return context.tries

    @workflow
    def once() -> int:
        return shaky()

    run = DurableRun(once)
    run.attempt(kill_in="shaky")
    assert run.result() == 3
    assert calls == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert len(keys) == 1


def test_time_and_chance_stay():
    @step
    def keep(drawn: list[str]) -> list[str]:
        return drawn

    @workflow
    def draw() -> list[list[str]]:
        drawn = [str(perdure.now()), str(perdure.random()), str(perdure.uuid4())]
        return [keep(drawn), drawn]

    run = DurableRun(draw)
    run.attempt(kill_after=1)
    kept, drawn = run.result()
    assert kept == drawn
    assert run.replay().executed == []


def test_time_passes_while_nobody_runs():
    @step
    def keep(moment: str) -> str:
        return moment

    @workflow
    def nap() -> float:
        began = perdure.now()
        keep("before")
        perdure.sleep(3600)
        keep("after")
        return (perdure.now() - began).total_seconds()

    run = DurableRun(nap)
    run.pass_time(7200)
    run.attempt(kill_after=1)
    run.pass_time(5000)
    assert run.attempt(kill_after=1).executed == ["keep#2"]
    run.pass_time(0)
    assert 5000 <= run.result() < 5060
    with pytest.raises(ValueError, match="0 or more"):
        run.pass_time(-1)


def test_async_branches_are_killed_and_resumed(calls):
    @step
    async def square(number: int) -> int:
        await asyncio.sleep(0.001 * (3 - number))
        calls.append(number)
        return number**2

    @workflow
    async def squares(count: int) -> list[int]:
        return await asyncio.gather(*(square(number) for number in range(count)))

    runs = 0
    for run in kills(squares, 3):
        before = len(run.checkpoints)
        assert run.result() == [0, 1, 4]
        assert len(run.attempts[1].executed) == 3 - before
        runs += 1
    assert runs == 6


def test_the_loser_of_a_race_stays_cancelled(calls):
    async def nap(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @step
    async def fast() -> str:
        await nap(0)
        return "fast"

    @step
    async def slow() -> str:
        calls.append("slow")
        await nap(30)
        return "slow"

    @step
    async def note(winner: str) -> str:
        return winner

    @workflow
    async def race() -> str:
        runners = [asyncio.create_task(fast()), asyncio.create_task(slow())]
        done, pending = await asyncio.wait(runners, return_when=asyncio.FIRST_COMPLETED)
        for one in pending:
            one.cancel()
        await asyncio.wait(pending)
        return await note(done.pop().result())

    run = DurableRun(race)
    run.attempt(kill_in="note")
    assert run.checkpoints == ["1/fast", "2/slow"]
    assert run.attempt().replayed == ["1/fast", "2/slow"]
    assert run.result() == "fast"
    assert calls == ["slow"]


def test_threads_are_killed_and_resumed(calls):
    @step
    def square(number: int) -> int:
        calls.append(number)
        return number**2

    @workflow
    def squares(count: int) -> list[int]:
        with perdure.ThreadPoolExecutor(4) as pool:
            return list(pool.map(square, range(count)))

    for run in kills(squares, 3):
        before = len(run.checkpoints)
        assert run.result() == [0, 1, 4]
        assert len(run.attempts[1].executed) == 3 - before


def test_a_thread_that_outlives_the_kill_stores_nothing(calls):
    entered, go_on = threading.Event(), threading.Event()

    @step
    def long() -> str:
        if step_context().attempt == 1:
            entered.set()
            assert go_on.wait(10)
        calls.append(step_context().attempt)
        return f"attempt {step_context().attempt}"

    @step
    def short() -> None:
        assert entered.wait(10)

    futures: list[Future[str]] = []

    @workflow
    def both() -> str:
        pool = perdure.ThreadPoolExecutor(2)
        futures.append(pool.submit(long))
        short()
        return futures[-1].result()

    run = DurableRun(both)
    assert run.attempt(kill_after=1).stored == ["short"]
    go_on.set()
    assert run.result() == "attempt 2"
    assert run.checkpoints == ["short", "1/long"]
    assert max(calls) == 2


def test_a_kill_passes_every_except_exception(calls):
    @step
    def one() -> None: ...

    @step
    def two() -> None:
        calls.append("two")

    @workflow
    def stubborn() -> None:
        while True:
            try:
                one()
            except Exception:
                continue
            two()
            return

    assert DurableRun(stubborn).attempt(kill_after=1).killed
    assert calls == []


def test_a_run_that_is_cancelled_and_then_killed_is_over(calls):
    """Nobody takes up such a run, where its workflow declares no cleanup."""

    @step
    def act(name: str) -> None:
        calls.append(name)
        run.cancel()

    @workflow
    def twice() -> None:
        act("a")
        act("b")

    for place in ({"kill_after": 1}, {"kill_in": "act"}):
        calls.clear()
        run = DurableRun(twice)
        run.attempt(**place)
        assert run.ended
        with pytest.raises(RunWasCancelled):
            run.result()
        assert calls == ["a"]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_kept_a_replay_from_its_recorded_steps_is_in_the_error(is_async):
    """A file that this machine does not have, say: the workflow ends before it comes to the steps."""
    missing = False

    @step
    def act() -> None: ...

    def config() -> None:
        if missing:
            raise FileNotFoundError("config.toml")

    @workflow
    def plain() -> None:
        config()
        act()

    @workflow
    async def with_tasks() -> None:
        config()
        act()

    run = DurableRun(with_tasks if is_async else plain)
    run.attempt(kill_after=1)
    missing = True
    with pytest.raises(NondeterminismError, match="was not called") as caught:
        run.result()
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_the_end_of_an_attempt_is_no_error_of_callbacks_and_futures(caplog):
    @step
    def square(number: int) -> int:
        return number * number

    @step
    async def cube(number: int) -> int:
        return number**3

    @workflow
    async def both() -> list[int]:
        pool = perdure.ThreadPoolExecutor(2)
        squares = [asyncio.wrap_future(pool.submit(square, number)) for number in range(3)]
        cubes = []
        task = asyncio.create_task(cube(2))
        task.add_done_callback(lambda task: cubes.append(task.result()))
        return [*await asyncio.gather(*squares), await task]

    for run in kills(both):
        assert run.result() == [0, 1, 4, 8]
    gc.collect()
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []


def test_a_done_callback_that_hears_of_the_end_leaves_its_thread_alone(monkeypatch):
    @step
    def square(number: int) -> int:
        return number * number

    @workflow
    def collects() -> list[int]:
        found: list[int] = []
        with perdure.ThreadPoolExecutor(2) as pool:
            for number in range(4):
                pool.submit(square, number).add_done_callback(lambda future: found.append(future.result()))
        return sorted(found)

    died = []
    monkeypatch.setattr(threading, "excepthook", lambda args: died.append(args.exc_value))
    for run in kills(collects):
        assert run.result() == [0, 1, 4, 9]
    assert died == []
