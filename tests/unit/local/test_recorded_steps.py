"""Steps that another process executes are shown as they are stored, and asked for when there may be new ones."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from perdure.local.display import PlainDisplay
from perdure.local.recorded_steps import RecordedSteps
from perdure.store.runs.claim_one import Standing
from perdure.store.runs.model import RecordedStep, RunState, StepOutcome
from perdure.store.workers.processes import Watched


class Stored:
    """Steps of a run, and what was asked for."""

    def __init__(self, *ordinals: int) -> None:
        self.ordinals = list(ordinals)
        self.asked: list[int] = []

    def after(self, ordinal: int) -> list[RecordedStep]:
        self.asked.append(ordinal)
        return [
            RecordedStep(f"step#{n}", n, 1, 1, timedelta(), StepOutcome.RESULT) for n in self.ordinals if n > ordinal
        ]


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


def test_new_steps_are_shown_and_only_the_newest_are_read_again(screen: io.StringIO) -> None:
    stored = Stored(0, 1)
    steps = RecordedSteps(stored.after, PlainDisplay("x", screen))
    steps.show()
    stored.ordinals += [2, 5000]
    steps.show()
    stored.ordinals.append(4000)  # stored late, by a thread beside
    steps.show()
    assert stored.asked == [-1, -1, 3000]
    assert [line.split(":")[1].strip() for line in screen.getvalue().splitlines()[1:]] == [
        "step#0", "step#1", "step#2", "step#5000", "step#4000",
    ]  # fmt: skip


def standing(attempt: int, *, counter: int | None = 1, steps_done: int = 0) -> Standing:
    process = Watched(UUID(int=1), "here", 1, 1, counter)
    return Standing(RunState.RUNNING, attempt, None, True, False, False, 0, 0, 0, process, steps_done)


def test_it_asks_when_the_process_has_moved(screen: io.StringIO) -> None:
    stored = Stored()
    steps = RecordedSteps(stored.after, PlainDisplay("x", screen))
    seen = []
    for now in (
        standing(1),
        standing(1),
        standing(1, counter=2),  # of a worker
        standing(1, counter=3, steps_done=4),  # of a pod
        standing(1, counter=4, steps_done=4),
        standing(2),
        replace(standing(2), process=None),
    ):
        steps.follow(now)
        seen.append(len(stored.asked))
    assert seen == [1, 1, 2, 3, 3, 4, 5]
