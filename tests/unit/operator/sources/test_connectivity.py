"""What was away and answers again is noticed soon, and nothing else is taken for that. Time jumps."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

from perdure.errors import StoreError, StoreUnavailable
from perdure_operator.sources.connectivity import ConnectivityProbe
from tests.harness.jumping_time import in_jumping_time


class Asked:
    """Something that can be away."""

    def __init__(self):
        self.away = self.refuses = False
        self.times: list[float] = []
        self.over: list[float] = []
        self.outage = ConnectivityProbe("the store", self.ask, self.back, every=10.0, away=StoreUnavailable)

    async def ask(self):
        self.times.append(now())
        if self.away:
            raise StoreUnavailable("nobody answers")
        if self.refuses:
            raise StoreError("no")

    def back(self):
        self.over.append(now())

    @asynccontextmanager
    async def watched(self):
        watching = asyncio.create_task(self.outage.run())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


def now():
    return asyncio.get_running_loop().time()


@in_jumping_time
async def test_it_is_asked_now_and_then_while_all_is_well():
    asked = Asked()
    async with asked.watched():
        await asyncio.sleep(35)
    assert len(asked.times) == 4
    assert (asked.outage.problem, asked.over) == (None, [])


@in_jumping_time
async def test_a_suspicion_is_looked_into_at_once_and_the_end_is_noticed_within_a_second():
    asked = Asked()
    async with asked.watched():
        await asyncio.sleep(3)
        asked.away = True
        asked.outage.suspect()
        await asyncio.sleep(0.1)
        assert asked.outage.problem == "nobody answers"
        await asyncio.sleep(60)
        assert asked.over == []
        asked.away, back = False, now()
        await asyncio.sleep(1.1)
        assert len(asked.over) == 1
        assert asked.over[0] - back <= 1.0
        assert asked.outage.problem is None
        await asyncio.sleep(60)
    assert len(asked.over) == 1


@in_jumping_time
async def test_a_suspicion_without_cause_is_no_end_of_an_outage():
    asked = Asked()
    async with asked.watched():
        await asyncio.sleep(1)
        asked.outage.suspect()
        await asyncio.sleep(1)
    assert (len(asked.times), asked.over) == (2, [])


@in_jumping_time
async def test_a_refusal_is_an_answer():
    asked = Asked()
    asked.refuses = True
    async with asked.watched():
        await asyncio.sleep(35)
    assert (len(asked.times), asked.outage.problem, asked.over) == (4, None, [])
