"""The end of an attempt: who decides it, what each answer of the store makes of it, and what has to end before it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.branch import Branch
from perdure.engine.order.outcome import Outcome
from perdure.engine.threads.naps import Nap
from perdure.errors import (
    ControlSignal,
    NondeterminismError,
    Released,
    RunCancelled,
    RunStopped,
    StoreChanged,
    StoreUnavailable,
    Superseded,
    ValueNotStorable,
)
from perdure.store.attempts.checkpoint import Answer, CallKind
from tests.harness.eventually import eventually
from tests.unit.engine.attempts import first_attempt


def thread_that(call: Any) -> tuple[threading.Thread, list[BaseException | None]]:
    """A thread that makes a call, and what the call raised."""
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
            ended.append(None)
        except ControlSignal as signal:
            ended.append(signal)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def test_one_that_goes_on_may_go_on() -> None:
    attempt = first_attempt()
    attempt.check()
    assert (attempt.signal, attempt.is_to_end, attempt.cleans_up, attempt.in_step) == (None, False, False, False)


def test_the_first_signal_stays() -> None:
    attempt = first_attempt()
    first, later = Released("moved"), RunCancelled("by hand")
    assert attempt.interrupt(first) is first
    assert attempt.interrupt(later) is first
    with pytest.raises(Released) as raised:
        attempt.check()
    assert raised.value is first
    assert attempt.is_to_end


def test_but_another_owner_ends_the_waits_for_the_store() -> None:
    attempt = first_attempt()
    attempt.interrupt(Released("moved"))
    assert not attempt.given_up()
    superseded = Superseded("by attempt 2")
    assert attempt.interrupt(superseded) is superseded
    assert attempt.given_up()
    assert attempt.interrupt(Superseded("by attempt 3")) is superseded


def test_its_process_hears_of_another_owner_while_it_is_not_over() -> None:
    ended: list[str] = []
    attempt = first_attempt(on_superseded=lambda: ended.append("process"))
    attempt.interrupt(Released("moved"))
    assert ended == []
    attempt.interrupt(Superseded("by attempt 2"))
    assert ended == ["process"]
    attempt.over.set()
    attempt.interrupt(Superseded("by attempt 3"))
    assert ended == ["process"]


def test_a_signal_that_is_raised_again_and_again_does_not_grow() -> None:
    attempt = first_attempt()
    attempt.interrupt(Released("moved"))
    lengths = []
    for _ in range(3):
        with pytest.raises(Released) as raised:
            attempt.check()
        lengths.append(len(raised.traceback))
        assert raised.value.__context__ is None
    assert len(set(lengths)) == 1


@pytest.mark.parametrize("answer", [Answer.DONE, Answer.DONE_BEFORE])
def test_an_outcome_that_is_stored_ends_nothing(answer: Answer) -> None:
    attempt = first_attempt()
    attempt.judge(answer, "charge")
    assert attempt.signal is None


@pytest.mark.parametrize(
    ("settled", "signal", "says"),
    [
        (Answer.SUPERSEDED, Superseded, "another attempt owns run 'order-7'.*this one is attempt 3"),
        (Answer.GONE, Superseded, "or it was deleted"),
        (Answer.SERVER_CHANGED, Released, "failed over to another server"),
        (StoreChanged("another system"), Released, "failed over to another server"),
        (StoreUnavailable("no answer for 600 s"), Released, "no answer for 600 s"),
    ],
)
def test_any_other_answer_ends_the_attempt_and_the_run_goes_on(settled: Any, signal: type, says: str) -> None:
    attempt = first_attempt(number=3)
    with pytest.raises(signal, match=says):
        attempt.judge(settled, "charge")
    assert isinstance(attempt.signal, signal)


@pytest.mark.parametrize(
    ("settled", "error"), [(Answer.KEY_TAKEN, NondeterminismError), (ValueNotStorable("a NUL"), ValueNotStorable)]
)
def test_what_the_store_never_takes_ends_the_run(settled: Any, error: type[Exception]) -> None:
    attempt = first_attempt()
    with pytest.raises(RunStopped) as raised:
        attempt.judge(settled, "charge")
    assert isinstance(raised.value.error, error)


def test_a_run_that_may_not_clean_up_is_cancelled_at_once() -> None:
    attempt = first_attempt()
    assert attempt.cancel("by hand")
    assert isinstance(attempt.signal, RunCancelled)
    assert str(attempt.signal) == "by hand"


def test_no_body_begins_after_the_end_and_none_stays_counted() -> None:
    attempt = first_attempt()
    attempt.interrupt(Released("moved"))
    with pytest.raises(Released):
        attempt.enter_step()
    assert not attempt.in_step


def test_one_that_drains_ends_with_the_step_that_is_under_way() -> None:
    attempt = first_attempt()
    attempt.enter_step()
    assert attempt.in_step
    attempt.drain(Released("the pod ends"))
    assert attempt.signal is None
    assert attempt.paused.is_set(), "a pause between two tries ends"
    attempt.leave_step()
    assert attempt.signal is None, "the workflow may be about to end by itself"
    with pytest.raises(Released, match="the pod ends"):
        attempt.enter_step()
    assert not attempt.in_step


def test_a_thread_before_its_next_step_waits_for_those_that_are_under_way() -> None:
    attempt = first_attempt()
    attempt.enter_step()
    attempt.drain(Released("the pod ends"))
    thread, ended = thread_that(attempt.enter_step)
    eventually(lambda: attempt._held_back == 1, 10)
    assert (attempt.signal, ended, attempt.in_step) == (None, [], True)
    attempt.leave_step()
    thread.join(10)
    assert ended == [attempt.signal]
    assert isinstance(attempt.signal, Released)


def test_a_drain_ends_a_run_that_only_waits_for_a_timer() -> None:
    attempt = first_attempt()
    branch = Branch(attempt)
    attempt.scheduler.resume_thread(branch)
    thread, _ = thread_that(lambda: Nap(branch).rest(3600))
    eventually(lambda: attempt.scheduler.naps, 10)
    attempt.drain(Released("the pod ends"))
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(attempt.signal, Released)


def test_the_first_drain_counts() -> None:
    attempt = first_attempt()
    attempt.drain(Released("the pod ends"))
    attempt.drain(Released("the worker stops"))
    with pytest.raises(Released, match="the pod ends"):
        attempt.enter_step()


def test_of_many_ends_at_once_one_stays_and_every_thread_gets_it() -> None:
    for _ in range(50):
        attempt = first_attempt()
        all_of_them = threading.Barrier(4)
        got: list[ControlSignal] = []

        def end(attempt: Attempt = attempt, at: threading.Barrier = all_of_them, got: list[Any] = got) -> None:
            signal = Released("one of four")
            at.wait()
            got.append(attempt.interrupt(signal))

        threads = [threading.Thread(target=end) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {id(one) for one in got} == {id(attempt.signal)}


def test_a_checkpoint_has_the_runs_name_and_the_right_to_store_it() -> None:
    attempt = first_attempt()
    outcome = Outcome(result="7", tries=2, ordinal=4, clock=1500, fingerprint="0f" * 16)
    made = attempt.checkpoint(CallKind.STEP, "1/charge", "charge", outcome, 0)
    assert (made.run, made.token) == (str(attempt.run_id).encode(), str(attempt.claimed.token).encode())
    assert (made.key, made.name, made.ordinal, made.tries, made.clock) == ("1/charge", "charge", 4, 2, 1500)
    assert (made.result, made.error, made.fingerprint) == ("7", None, "0f" * 16)
    assert made.micros > 0


def test_tasks_are_numbered_alike_on_replay_and_unlike_in_another_run() -> None:
    one, again = first_attempt(), first_attempt(number=2)
    numbers = [one.next_task_number() for _ in range(3)]
    assert numbers == [again.next_task_number() for _ in range(3)]
    assert len(set(numbers)) == 3


class Told:
    """An observer."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, event: str) -> Any:
        return lambda *given: self.told.append((event, *given))


def test_the_observer_hears_of_each_event_and_the_current_step_is_known() -> None:
    observer = Told()
    attempt = first_attempt(observer=observer)
    attempt.enter_step()
    attempt.started("charge")
    steps = [attempt.current_step]
    error = OSError("busy")
    attempt.tried("charge", 1, error, 0.5)
    attempt.finished("charge", Outcome(result="1", tries=2), 0)
    steps.append(attempt.current_step)
    assert (attempt.steps_done, attempt.in_step) == (1, False)
    attempt.waits("the workflow waits at flow.py:3")
    steps.append(attempt.current_step)
    assert steps == ["charge", None, "the workflow waits at flow.py:3"]
    assert [(event, *given[:3]) for event, *given in observer.told] == [
        ("started", "charge"),
        ("tried", "charge", 1, error),
        ("finished", "charge", "result", 2),
        ("waits", "the workflow waits at flow.py:3"),
    ]


@pytest.mark.parametrize(
    ("outcome", "kind"), [(Outcome(result="1"), "result"), (Outcome(error="{}"), "error"), (Outcome(), "cancelled")]
)
def test_it_hears_what_kind_of_outcome_a_step_has(outcome: Outcome, kind: str) -> None:
    observer = Told()
    first_attempt(observer=observer).finished("charge", outcome, 0)
    assert observer.told[0][:3] == ("finished", "charge", kind)
