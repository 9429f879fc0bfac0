"""The verdict on a run of the campaign of kills finds each thing that may be wrong with it, and else nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from benchmarks.cluster.kills.load import Started
from benchmarks.cluster.kills.plans import Plan
from benchmarks.cluster.kills.verdict import Story, Wrong, judge, silence

START = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def execution(number: int, key: str, attempt: int, **laid_over: Any) -> dict[str, Any]:
    told = {"kept_of": None, "held": True, "done": True, "held_done": True}
    return {"id": UUID(int=number << 80), "step_key": key, "attempt": attempt, **told, **laid_over}


def checkpoint(ordinal: int, key: str, attempt: int, execution: int, seconds: float) -> dict[str, Any]:
    result = UUID(int=execution << 80).hex[:12]
    name = key.partition("#")[0]
    row = {"step_key": key, "name": name, "ordinal": ordinal, "attempt": attempt, "result": result}
    return {**row, "finished": at(seconds)}


def attempt(number: int, seconds: float, ending: str | None) -> dict[str, Any]:
    return {"attempt": number, "claimed": at(seconds), "ending": ending}


def right() -> Story:
    """Three steps in two attempts; the second was done again: the first attempt was over when it brought it."""
    checkpoints = [checkpoint(1, "work", 1, 1, 2), checkpoint(2, "book", 2, 3, 8), checkpoint(3, "work#2", 2, 4, 9)]
    result = [one["result"] for one in checkpoints]
    run = {"state": "succeeded", "attempt": 2, "claim": None, "result": result, "error": None}
    status = {
        "conditions": [{"type": "Finished", "status": "True", "reason": "Succeeded"}],
        "attempts": 2,
        "steps": {"completed": 3},
        "result": result,
    }
    return Story(
        started=Started(Plan(1, "in_turn", 3, None), "uid", status=status),
        run={**run, "created": at(0), "finished": at(10)},
        attempts=[attempt(1, 1, "lost"), attempt(2, 5, "completed")],
        checkpoints=checkpoints,
        executions=[
            execution(1, "work", 1),
            execution(2, "book", 1, held_done=False),
            execution(3, "book", 2),
            execution(4, "work#2", 2),
            # What is paused before it could note its begin does so when it goes on.
            execution(5, "book", 1, kept_of=2, held=False, held_done=False),
        ],
        bookings=["book"],
    )


def test_nothing_is_wrong():
    assert judge(right()) == []
    assert silence(right()) == 6


def a_step_that_began_again(story: Story) -> Story:
    return dataclasses.replace(story, executions=[*story.executions, execution(9, "work", 2, kept_of=1)])


def a_step_that_began_twice_in_one_attempt(story: Story) -> Story:
    return dataclasses.replace(story, executions=[*story.executions, execution(9, "work#2", 2, kept_of=2)])


def a_booking_too_many(story: Story) -> Story:
    return dataclasses.replace(story, bookings=["book", "book"])


def a_booking_too_few(story: Story) -> Story:
    return dataclasses.replace(story, bookings=[])


def no_ending(story: Story) -> Story:
    assert story.run is not None
    return dataclasses.replace(story, run={**story.run, "finished": None})


def a_workflow_that_was_never_seen_to_have_finished(story: Story) -> Story:
    return dataclasses.replace(story, started=dataclasses.replace(story.started, status=None))


def no_run(story: Story) -> Story:
    return dataclasses.replace(story, run=None)


def changed(story: Story, place: int, **laid_over: Any) -> Story:
    checkpoints = [dict(one) for one in story.checkpoints]
    checkpoints[place].update(laid_over)
    return dataclasses.replace(story, checkpoints=checkpoints)


def an_older_attempt_after_a_newer_one(story: Story) -> Story:
    executions = [*story.executions[:3], execution(4, "work#2", 1)]
    return dataclasses.replace(changed(story, 2, attempt=1), executions=executions)


def a_checkpoint_after_the_next_claim(story: Story) -> Story:
    return changed(story, 0, finished=at(5.1))


def one_place_taken_twice(story: Story) -> Story:
    return changed(story, 1, ordinal=1)


def an_outcome_of_an_attempt_that_had_lost_the_run(story: Story) -> Story:
    executions = [dict(one) for one in story.executions]
    executions[0]["held_done"] = False
    return dataclasses.replace(story, executions=executions)


def an_outcome_that_no_execution_had(story: Story) -> Story:
    return dataclasses.replace(story, executions=story.executions[1:])


def an_attempt_without_an_end(story: Story) -> Story:
    return dataclasses.replace(story, attempts=[attempt(1, 1, None), attempt(2, 5, "completed")])


def two_endings_of_the_run(story: Story) -> Story:
    return dataclasses.replace(story, attempts=[attempt(1, 1, "completed"), attempt(2, 5, "completed")])


def a_failed_run(story: Story) -> Story:
    assert story.run is not None
    return dataclasses.replace(story, run={**story.run, "state": "failed", "result": None})


def a_cancelled_run_that_nobody_cancelled(story: Story) -> Story:
    assert story.run is not None
    return dataclasses.replace(story, run={**story.run, "state": "cancelled"})


def a_status_that_says_otherwise(story: Story) -> Story:
    assert story.started.status is not None
    status = {**story.started.status, "attempts": 1}
    return dataclasses.replace(story, started=dataclasses.replace(story.started, status=status))


def a_result_that_is_short(story: Story) -> Story:
    plan = dataclasses.replace(story.started.plan, steps=4)
    return dataclasses.replace(story, started=dataclasses.replace(story.started, plan=plan))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (a_step_that_began_again, Wrong.REPEATED),
        (a_step_that_began_twice_in_one_attempt, Wrong.REPEATED),
        (a_booking_too_many, Wrong.REPEATED),
        (a_booking_too_few, Wrong.REPEATED),
        (no_ending, Wrong.STUCK),
        (a_workflow_that_was_never_seen_to_have_finished, Wrong.STUCK),
        (no_run, Wrong.STUCK),
        (an_older_attempt_after_a_newer_one, Wrong.TWO_ATTEMPTS),
        (a_checkpoint_after_the_next_claim, Wrong.TWO_ATTEMPTS),
        (one_place_taken_twice, Wrong.TWO_ATTEMPTS),
        (an_outcome_of_an_attempt_that_had_lost_the_run, Wrong.TWO_ATTEMPTS),
        (an_outcome_that_no_execution_had, Wrong.TWO_ATTEMPTS),
        (an_attempt_without_an_end, Wrong.TWO_ATTEMPTS),
        (two_endings_of_the_run, Wrong.TWO_ATTEMPTS),
        (a_failed_run, Wrong.OUTCOME),
        (a_cancelled_run_that_nobody_cancelled, Wrong.OUTCOME),
        (a_status_that_says_otherwise, Wrong.OUTCOME),
        (a_result_that_is_short, Wrong.OUTCOME),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_is_wrong_is_found(change: Callable[[Story], Story], wrong: Wrong):
    assert {violation.wrong for violation in judge(change(right()))} == {wrong}
