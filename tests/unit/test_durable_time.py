"""What `now`, `sleep` and `sleep_until` take and refuse, in a workflow, in a step and outside of both."""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import perdure
from perdure import step, workflow
from perdure.durable_time import seconds_until
from perdure.errors import StepCallError
from perdure.testing import DurableRun

LOCAL = datetime(2026, 1, 1)  # noqa: DTZ001  a moment of no time zone


@workflow
def sleeps(seconds: float) -> None:
    perdure.sleep(seconds)


@workflow
def sleeps_until_no_moment() -> None:
    perdure.sleep_until(LOCAL)


@pytest.mark.parametrize("seconds", [-0.001, -math.inf, math.inf, math.nan])
def test_a_sleep_takes_finite_seconds_that_are_not_negative(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"0 or more seconds, not (-?inf|nan|-0\.001)"):
        perdure.sleep(seconds)


def test_a_workflow_is_refused_them_too() -> None:
    with pytest.raises(ValueError, match="0 or more seconds, not -1"):
        DurableRun(sleeps, -1.0).result()


def test_a_moment_has_a_time_zone() -> None:
    with pytest.raises(ValueError, match=r"has no time zone, so it is no moment.*tzinfo=datetime.UTC"):
        perdure.sleep_until(LOCAL)
    with pytest.raises(ValueError, match="has no time zone"):
        DurableRun(sleeps_until_no_moment).result()


def test_outside_of_runs_time_is_the_systems() -> None:
    before = datetime.now(UTC)
    assert before <= perdure.now() <= datetime.now(UTC)
    assert perdure.now().utcoffset() == timedelta(0)
    began = time.monotonic()
    perdure.sleep(0.03)
    perdure.sleep_until(datetime.now(timezone(timedelta(hours=-7))) + timedelta(seconds=0.03))
    assert 0.055 <= time.monotonic() - began < 5


def test_a_moment_that_is_past_is_not_waited_for() -> None:
    began = time.monotonic()
    perdure.sleep_until(datetime.now(UTC) - timedelta(days=1))
    perdure.sleep(0)
    assert time.monotonic() - began < 5
    assert seconds_until(datetime.now(UTC) - timedelta(hours=1), None) == pytest.approx(-3600, abs=5)


def test_in_a_step_time_is_the_systems_and_passes() -> None:
    @step
    def naps() -> float:
        began = perdure.now()
        perdure.sleep(0.02)
        return (perdure.now() - began).total_seconds()

    @workflow
    def flow() -> float:
        return naps()

    assert 0.015 <= DurableRun(flow).result() < 5


def test_in_a_workflow_it_stands_still_between_events() -> None:
    @workflow
    def flow() -> list[float]:
        began = perdure.now()
        time.sleep(0.02)
        stood = perdure.now()
        perdure.sleep(0.05)
        slept = perdure.now()
        perdure.sleep_until(slept + timedelta(seconds=0.05))
        perdure.sleep_until(began)
        return [(moment - began).total_seconds() for moment in (stood, slept, perdure.now())]

    assert DurableRun(flow).result() == [0.0, 0.05, 0.1]


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda: perdure.sleep(0), r"perdure\.sleep would block.*'await asyncio\.sleep"),
        (lambda: perdure.sleep_until(datetime.now(UTC)), r"sleep_until would block.*'await perdure\.aio\.sleep_until"),
    ],
)
def test_an_async_workflow_is_told_what_to_await_instead(call: Any, instead: str) -> None:
    @workflow
    async def flow() -> None:
        call()

    with pytest.raises(StepCallError, match=instead):
        DurableRun(flow).result()


def test_where_no_branch_runs_neither_time_nor_sleep_is_the_runs() -> None:
    """A thread that Perdure did not start has no place in the run's order."""
    said: list[str] = []

    @workflow
    def flow() -> None:
        def call() -> None:
            for one in (perdure.now, lambda: perdure.sleep(0), lambda: perdure.sleep_until(datetime.now(UTC))):
                try:
                    one()
                except StepCallError as error:
                    said.append(str(error).split("'")[1])

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    DurableRun(flow).result()
    assert said == ["perdure.now", "perdure.sleep", "perdure.sleep_until"]
