"""Each attempt is measured once, soon after there is something to measure; what others measured is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.errors import StoreUnavailable
from perdure.names import Claim
from perdure.store.runs.model import RunState
from perdure_operator.decide.observed import Ended, Limits, Run
from perdure_operator.store.rows import AttemptRecord
from perdure_operator.telemetry.run_metrics import RunMetrics

UID = UUID(int=1)
LIMITS = Limits(6, None, suspend=False, cancel=False)


@dataclass
class Scales:
    """The store, and what was measured."""

    records: list[AttemptRecord] = field(default_factory=list)
    asked: int = 0
    away: bool = False
    told: list[tuple[str, object]] = field(default_factory=list)

    async def attempts(self, uid: UUID, *, after: int) -> Sequence[AttemptRecord]:
        assert uid == UID
        self.asked += 1
        if self.away:
            raise StoreUnavailable("away")
        return [record for record in self.records if record.attempt > after]

    def attempt_began(self, after: float) -> None:
        self.told.append(("began", after))

    def attempt_stepped(self, after: float) -> None:
        self.told.append(("stepped", after))

    def attempt_ended(self, ending: str) -> None:
        self.told.append(("ended", ending))

    def run_ended(self, state: str) -> None:
        self.told.append(("run", state))


class Scene:
    """One run, which is shown as it changes."""

    def __init__(self) -> None:
        self.scales = Scales()
        self.measures = RunMetrics(self.scales, self.scales)

    def restart(self) -> None:
        """Another operator takes over."""
        self.measures = RunMetrics(self.scales, self.scales)
        self.scales.told.clear()

    def shows(self, run: Run, *records: AttemptRecord) -> list[tuple[str, object]]:
        """What is measured when the run is seen so."""
        self.scales.records = list(records)
        self.scales.told.clear()
        asyncio.run(self.measures.saw(UID, run))
        return list(self.scales.told)


def held(attempt: int = 1, *, begun: bool = True, steps: int = 0, last: str | None = None) -> Run:
    state = RunState.RUNNING if begun else RunState.PENDING
    ended = None if last is None else _ended(attempt - 1, last)
    return Run(state, attempt, Claim(UUID(int=attempt)), begun=begun, limits=LIMITS, steps=steps, last=ended)


def free(attempt: int, last: str, *, state: RunState = RunState.PENDING, steps: int = 0) -> Run:
    return Run(state, attempt, None, begun=False, limits=LIMITS, steps=steps, last=_ended(attempt, last))


def _ended(attempt: int, ending: str) -> Ended:
    return Ended(attempt, AttemptEnd(ending), None, None, None, datetime.now(UTC))


def record(attempt: int, ending: str | None = None, began: float | None = 1.0, stepped: float | None = None):
    return AttemptRecord(attempt, None if ending is None else AttemptEnd(ending), None, began, stepped)


def test_a_run_that_goes_on_for_days_is_measured_while_it_does() -> None:
    scene = Scene()
    assert scene.shows(held(begun=False)) == []
    assert scene.shows(held(), record(1)) == [("began", 1.0)]
    assert scene.shows(held(), record(1)) == []
    assert scene.shows(held(steps=1), record(1, stepped=2.0)) == [("stepped", 2.0)]
    asked = scene.scales.asked
    assert scene.shows(held(steps=900), record(1, stepped=2.0)) == []
    assert scene.scales.asked == asked, "nothing is asked where nothing is to be measured"


def test_a_short_run_is_measured_when_its_end_is_seen() -> None:
    scene = Scene()
    scene.shows(held(begun=False))
    ended = free(1, "completed", state=RunState.SUCCEEDED, steps=3)
    told = [("began", 1.0), ("stepped", 2.0), ("ended", "completed"), ("run", "succeeded")]
    assert scene.shows(ended, record(1, "completed", stepped=2.0)) == told
    assert scene.shows(ended, record(1, "completed", stepped=2.0)) == []
    assert scene.scales.asked == 1


def test_each_of_several_attempts_between_two_looks_is_measured() -> None:
    scene = Scene()
    scene.shows(held(begun=False))
    crashes = [record(1, "crashed"), record(2, "never begun", began=None), record(3, began=4.0)]
    told = [("began", 1.0), ("ended", "crashed"), ("ended", "never begun"), ("began", 4.0)]
    assert scene.shows(held(3, last="never begun"), *crashes) == told


def test_a_new_attempts_first_step_is_no_older_ones() -> None:
    scene = Scene()
    scene.shows(held(begun=False))
    first = record(1, "crashed", stepped=2.0)
    scene.shows(free(1, "crashed", steps=5), first)
    assert scene.shows(held(2, begun=False, steps=5, last="crashed"), first, record(2, began=None)) == []
    assert scene.shows(held(2, steps=5, last="crashed"), first, record(2)) == [("began", 1.0)]
    assert scene.shows(held(2, steps=5, last="crashed"), first, record(2)) == []
    assert scene.shows(held(2, steps=6, last="crashed"), first, record(2, stepped=9.0)) == [("stepped", 9.0)]


def test_what_another_operator_has_measured_is_left_alone() -> None:
    scene = Scene()
    scene.shows(held(begun=False))
    scene.shows(held(steps=1), record(1, stepped=2.0))
    scene.restart()
    assert scene.shows(held(steps=2), record(1, stepped=2.0)) == []
    ended = free(1, "completed", state=RunState.SUCCEEDED, steps=3)
    assert scene.shows(ended, record(1, "completed", stepped=2.0)) == [("ended", "completed"), ("run", "succeeded")]
    assert scene.shows(ended, record(1, "completed", stepped=2.0)) == []


def test_an_end_between_two_operators_is_measured_as_no_status_has_told_it() -> None:
    scene = Scene()
    ended = free(1, "completed", state=RunState.SUCCEEDED, steps=3)
    assert scene.shows(ended, record(1, "completed", stepped=2.0)) == [("ended", "completed"), ("run", "succeeded")]
    assert scene.shows(ended, record(1, "completed", stepped=2.0)) == []


def test_a_run_that_is_cancelled_before_anybody_claims_it_has_ended() -> None:
    never = Run(RunState.CANCELLED, 0, None, begun=False, limits=LIMITS)
    assert Scene().shows(never) == [("run", "cancelled")]


def test_a_store_that_is_away_is_asked_again() -> None:
    scene = Scene()
    scene.shows(held(begun=False))
    scene.scales.away = True
    with pytest.raises(StoreUnavailable):
        scene.shows(held(), record(1))
    scene.scales.away = False
    assert scene.shows(held(), record(1)) == [("began", 1.0)]


def test_nothing_is_kept_of_what_is_over() -> None:
    scene = Scene()
    scene.shows(held(begun=False))
    scene.measures.forget(UID)
    assert scene.shows(free(1, "crashed"), record(1, "crashed")) == []
