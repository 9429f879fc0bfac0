"""What threads wait for at most is on the run's clock: after a crash the same wait runs out, and no other."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future
from typing import Any

import pytest

import perdure
from perdure.testing import DurableRun, kills


@perdure.step
def after(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@perdure.step
def note(text: str) -> str:
    return text


@perdure.workflow
def result_in_time() -> list[str]:
    notes = []
    with perdure.ThreadPoolExecutor(2) as pool:
        for seconds in (0.01, 0.6):
            future = pool.submit(after, seconds)
            try:
                notes.append(note(f"in time {future.result(timeout=0.3)}"))
            except TimeoutError:
                notes.append(note("late"))
    return notes


@perdure.workflow
def exception_in_time() -> list[str]:
    with perdure.ThreadPoolExecutor(1) as pool:
        future = pool.submit(after, 0.2)
        try:
            future.exception(timeout=0.05)
        except TimeoutError:
            return [note("late"), note(f"then {future.exception()}")]
    return [note("in time")]


@perdure.workflow
def wait_a_while() -> list[str]:
    with perdure.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(after, seconds) for seconds in (0.01, 0.02, 0.7)]
        done, late = concurrent.futures.wait(futures, timeout=0.3)
        notes = [note(f"{len(done)} done, {len(late)} late")]
        done, late = concurrent.futures.wait(futures, timeout=5, return_when=FIRST_COMPLETED)
        return [*notes, note(f"{len(done)} done, {len(late)} late")]


@perdure.workflow
def as_completed_a_while() -> list[str]:
    notes: list[str] = []
    with perdure.ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(after, seconds) for seconds in (0.15, 0.01, 0.9)]
        try:
            notes.extend(
                note(f"after {future.result()}") for future in concurrent.futures.as_completed(futures, timeout=0.45)
            )
        except TimeoutError:
            notes.append(note("late"))
    return notes


@perdure.workflow
def map_a_while() -> list[str]:
    notes: list[str] = []
    with perdure.ThreadPoolExecutor(2) as pool:
        try:
            notes.extend(note(f"after {seconds}") for seconds in pool.map(after, [0.01, 0.8, 0.01], timeout=0.35))
        except TimeoutError:
            notes.append(note("late"))
    return notes


@perdure.workflow
def many_wait_alike() -> list[str]:
    def impatient(number: int, future: Future[float]) -> str:
        try:
            return note(f"{number}: {future.result(timeout=0.05)}")
        except TimeoutError:
            return note(f"{number}: late")

    with perdure.ThreadPoolExecutor(6) as pool:
        slow = pool.submit(after, 0.8)
        return [one.result() for one in [pool.submit(impatient, number, slow) for number in range(4)]]


EXPECTED: dict[Callable[..., Any], Any] = {
    result_in_time: ["in time 0.01", "late"],
    exception_in_time: ["late", "then None"],
    wait_a_while: ["2 done, 1 late", "2 done, 1 late"],
    as_completed_a_while: ["after 0.01", "after 0.15", "late"],
    map_a_while: ["after 0.01", "late"],
    many_wait_alike: [f"{number}: late" for number in range(4)],
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", EXPECTED, ids=lambda program: str(program.__name__))
def test_the_same_wait_runs_out_after_a_crash(program: Callable[..., Any]) -> None:
    for run in kills(program):
        assert run.result() == EXPECTED[program]
        assert run.replay().executed == []


@perdure.workflow
def polls_without_waiting() -> int:
    rounds = 0
    with perdure.ThreadPoolExecutor(2) as pool:
        future = pool.submit(after, 0.1)
        while concurrent.futures.wait([future], timeout=0).not_done:
            rounds += 1
    return min(rounds, 2) + int(after(0.0))


@pytest.mark.timeout(60)
def test_waits_of_no_time_come_to_an_end() -> None:
    for run in kills(polls_without_waiting):
        assert run.result() == 2


@perdure.workflow
def polls_a_result() -> str:
    with perdure.ThreadPoolExecutor(1) as pool:
        future = pool.submit(after, 0.05)
        for _ in range(100_000):
            try:
                return note(f"{future.result(timeout=0)}")
            except TimeoutError:
                continue
    return "never"


@pytest.mark.timeout(60)
def test_results_asked_for_without_waiting_come_too() -> None:
    assert DurableRun(polls_a_result).result() == "0.05"
