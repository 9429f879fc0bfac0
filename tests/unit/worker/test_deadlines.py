"""A run has one limit at a time: its deadline, then the time for its cleanup."""

from __future__ import annotations

from uuid import uuid4

import pytest

from perdure.attempt_results import Failed, RunEnd
from perdure.definitions import WorkflowDefinition
from perdure.names import Claim, RunId, Token
from perdure.store.workers.claims import ClaimedRun
from perdure.worker.deadlines import Deadlines
from perdure.worker.executor import Running
from perdure.worker.timers import Timers


def work() -> None: ...


def running(deadline_in: float | None) -> Running:
    claim = Claim(uuid4())
    run = ClaimedRun(
        run_id=RunId(uuid4()),
        id="one",
        token=Token(claim),
        number=1,
        entrypoint="work",
        input="{}",
        deadline_in=deadline_in,
        seed=uuid4(),
        cancelled=False,
        cleanup=None,
        claim=claim,
    )
    return Running(run, WorkflowDefinition(work), 0.0)


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def ended() -> list[RunEnd]:
    return []


@pytest.fixture
def deadlines(timers: Timers, ended: list[RunEnd]) -> Deadlines:
    return Deadlines(timers.at, lambda _, ending: ended.append(ending))


def test_a_run_that_is_past_its_deadline_fails_before_it_begins(deadlines: Deadlines, ended: list[RunEnd]) -> None:
    one = running(-1.0)
    assert not deadlines.start(one)
    [ending] = ended
    assert isinstance(ending, Failed)
    assert "DeadlineExceeded" in ending.error


def test_a_run_without_a_deadline_has_no_timer(deadlines: Deadlines, timers: Timers, ended: list[RunEnd]) -> None:
    assert deadlines.start(running(None))
    assert timers.next_due() is None
    assert ended == []


def test_the_time_for_a_cleanup_replaces_the_deadline(deadlines: Deadlines, timers: Timers) -> None:
    one = running(30.0)
    assert deadlines.start(one)
    assert timers.next_due() == 30.0
    deadlines.clean_up(one, 100.0)
    assert timers.next_due() == 100.0


def test_a_run_that_has_ended_gets_no_timer(deadlines: Deadlines, timers: Timers) -> None:
    one = running(30.0)
    assert deadlines.start(one)
    one.ended = True
    deadlines.clean_up(one, 100.0)
    assert timers.next_due() is None
