"""Time and chance in workflows."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import perdure
from perdure import step, workflow
from perdure.engine.order.journal import Recorded
from perdure.testing import DurableRun, kills


@step
def use(value: Any) -> str:
    return str(value)


@workflow
def draws() -> list[str]:
    first = perdure.random()
    used = use(first)
    return [used, str(first), str(perdure.random()), str(perdure.uuid4()), str(perdure.uuid4()), use(1)]


def test_chance_is_derived_and_not_stored() -> None:
    run = DurableRun(draws)
    result = run.result()
    assert run.checkpoints == ["use", "use#2"]
    assert result[0] == result[1]
    assert len(set(result)) == 5
    assert run.replay().executed == []


def test_it_is_the_same_in_each_attempt() -> None:
    for run in kills(draws):
        drawn = run.result()
        assert drawn[0] == drawn[1]
        run.replay()


def test_each_run_draws_its_own() -> None:
    drawn = [DurableRun(draws).result() for _ in range(3)]
    assert len({one for result in drawn for one in result[1:5]}) == 12


def test_a_draw_is_spread_evenly() -> None:
    @workflow
    def many() -> list[float]:
        return [perdure.random() for _ in range(5000)]

    drawn = DurableRun(many).result()
    assert all(0 <= one < 1 for one in drawn)
    assert len(set(drawn)) == 5000
    assert abs(sum(drawn) / 5000 - 0.5) < 0.03
    assert max(sum(low <= one < low + 0.1 for one in drawn) for low in (0, 0.3, 0.6, 0.9)) < 650


def test_a_uuid_is_one_of_version_4() -> None:
    @workflow
    def one() -> UUID:
        return perdure.uuid4()

    assert DurableRun(one).result().version == 4


def test_each_branch_draws_its_own() -> None:
    @workflow
    async def gathered() -> list[float]:
        async def draw(pause: float) -> float:
            await asyncio.sleep(pause)
            return perdure.random()

        return [perdure.random(), *await asyncio.gather(draw(0.02), draw(0)), await perdure.to_thread(perdure.random)]

    run = DurableRun(gathered)
    drawn = run.result()
    assert len(set(drawn)) == 4
    assert run.checkpoints == []
    run.replay()


def test_a_run_that_recorded_its_draws_uses_them() -> None:
    run = DurableRun(draws)
    run.attempt(kill_after=1)
    [(_, used)] = run._stored.items()
    used.result, used.ordinal, used.fingerprint = '"0.25"', 2, None
    run._stored["perdure.random"] = Recorded("perdure.random", 1, 1, 1, 1, "0.25", None)
    result = run.result()
    assert result[:2] == ["0.25", "0.25"]
    assert run.checkpoints == ["perdure.random", "use", "use#2"]


def test_a_run_that_recorded_the_time_uses_that() -> None:
    @workflow
    def three() -> list[str]:
        read = [perdure.now()]
        use("one")
        read += [perdure.now(), perdure.now()]
        use("two")
        return [one.isoformat() for one in read]

    run = DurableRun(three)
    run.attempt(kill_after=1)
    [used] = run._stored.values()
    used.ordinal, used.clock = 2, 2_000_000
    for ordinal, key in ((1, "perdure.now"), (3, "perdure.now#2")):
        moment = f'"2026-01-0{ordinal}T00:00:00Z"'
        run._stored[key] = Recorded(key, ordinal, 1, 1, ordinal * 1_000_000, moment, None)
    read = run.result()
    assert read[:2] == ["2026-01-01T00:00:00+00:00", "2026-01-03T00:00:00+00:00"]
    assert read[2] > "2026-01-04"
    assert run.checkpoints == ["perdure.now", "use", "perdure.now#2", "use#2"]


def test_outside_of_runs_they_are_what_the_standard_library_has() -> None:
    assert 0 <= perdure.random() < 1
    assert perdure.uuid4() != perdure.uuid4()
    assert perdure.now().tzinfo is not None
