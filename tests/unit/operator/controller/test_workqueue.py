"""The work queue with its tasks: concurrency, failures, delays, the end. Time is the loop's, and jumps."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter

import pytest

from perdure.errors import StoreUnavailable
from perdure.pauses import Pauses
from perdure_operator.controller.workqueue import WorkQueue
from perdure_operator.errors import TooManyRequests
from tests.harness.jumping_time import in_jumping_time


class Measured:
    def __init__(self):
        self.waited: list[float] = []
        self.errors: list[str | None] = []
        self.count = 0

    def added(self):
        self.count += 1

    def taken(self, waited):
        self.waited.append(waited)

    def worked(self, seconds, error):
        self.errors.append(error)


def queue_of(work, *, workers=4, longest=30.0):
    measured = Measured()
    pauses = Pauses(0.1, longest, jitter=0.0)
    return WorkQueue(work, workers=workers, meter=measured, pauses=pauses), measured


@in_jumping_time
async def test_what_failed_comes_again_at_once_when_that_is_over_and_not_all_at_the_same_moment():
    away, done = True, {}

    async def work(key):
        if away:
            raise StoreUnavailable("away")
        done[key] = asyncio.get_running_loop().time()

    queue = WorkQueue(work, workers=4, meter=Measured())
    running = asyncio.create_task(queue.run())
    for key in range(1000):
        queue.add(key)
    await asyncio.sleep(600)
    away, back = False, asyncio.get_running_loop().time()
    queue.hurry()
    await asyncio.sleep(2.0)
    assert len(done) == 1000
    times = sorted(at - back for at in done.values())
    assert times[100] > 0.1, "they are spread"
    assert queue.failing == 0
    queue.stop()
    await running


@in_jumping_time
async def test_a_key_is_never_worked_on_twice_at_once_and_none_is_lost():
    at_work: Counter[str] = Counter()
    done: Counter[str] = Counter()

    async def work(key):
        at_work[key] += 1
        assert at_work[key] == 1
        await asyncio.sleep(0.01)
        at_work[key] -= 1
        done[key] += 1

    queue, _ = queue_of(work)
    running = asyncio.create_task(queue.run())
    for turn in range(100):
        for key in "abcdefgh":
            queue.add(key)
        if turn % 7 == 0:
            await asyncio.sleep(0.004)
    await asyncio.sleep(1)
    assert set(done) == set("abcdefgh")
    assert max(done.values()) < 100
    queue.stop()
    await running


@in_jumping_time
async def test_keys_that_come_due_together_are_worked_on_together():
    began: list[float] = []

    async def work(key):
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(5)

    queue, _ = queue_of(work, workers=3)
    running = asyncio.create_task(queue.run())
    await asyncio.sleep(0)
    for key in "abc":
        queue.add_after(key, 1)
    await asyncio.sleep(2)
    assert began == [1, 1, 1]
    queue.stop()
    await running


@in_jumping_time
async def test_a_failing_key_comes_again_ever_later_and_starts_anew_once_it_succeeded():
    times: list[float] = []
    failing = True

    async def work(key):
        times.append(round(asyncio.get_running_loop().time(), 3))
        if failing:
            raise StoreUnavailable("away")

    queue, measured = queue_of(work, longest=0.4)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    await asyncio.sleep(1.6)
    assert times == [0, 0.1, 0.3, 0.7, 1.1, 1.5]
    assert queue.failing == 1
    failing = False
    await asyncio.sleep(1)
    assert (queue.failing, measured.errors[-1]) == (0, None)
    failing, times[:] = True, []
    queue.add("a")
    await asyncio.sleep(0.15)
    assert [round(b - a, 3) for a, b in itertools.pairwise(times)] == [0.1]
    queue.stop()
    await running


@in_jumping_time
async def test_a_busy_server_says_when_to_come_again():
    times: list[float] = []

    async def work(key):
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            queue.add(key)  # it is heard of while it is worked on
            raise TooManyRequests("create pods", "busy", 7)

    queue, _ = queue_of(work)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    await asyncio.sleep(3)
    queue.add("a")
    queue.hurry()
    await asyncio.sleep(7)
    assert times == [0, 7]
    queue.stop()
    await running


@in_jumping_time
async def test_what_nobody_expected_is_logged_with_its_traceback_and_the_others_go_on():
    records: list[logging.LogRecord] = []

    class Kept(logging.Handler):
        def emit(self, record):
            records.append(record)

    handler = Kept()
    logger = logging.getLogger("perdure.operator.queue")
    logger.addHandler(handler)
    done: list[str] = []

    async def work(key):
        if key == "bad":
            raise ZeroDivisionError
        done.append(key)

    queue, _ = queue_of(work, workers=1)
    running = asyncio.create_task(queue.run())
    for key in ("bad", "good"):
        queue.add(key)
    await asyncio.sleep(0.05)
    logger.removeHandler(handler)
    assert done == ["good"]
    assert [(record.levelname, (record.exc_info or [None])[0]) for record in records] == [("ERROR", ZeroDivisionError)]
    queue.stop()
    await running


@in_jumping_time
async def test_stop_waits_for_what_has_begun_and_begins_nothing_more():
    ended: list[str] = []

    async def work(key):
        await asyncio.sleep(1)
        ended.append(key)

    queue, _ = queue_of(work, workers=1)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    queue.add("b")
    queue.add_after("c", 0.5)
    await asyncio.sleep(0.1)
    queue.stop()
    await running
    assert ended == ["a"]


@in_jumping_time
async def test_cancelling_it_ends_it():
    async def work(key):
        await asyncio.sleep(1000)

    queue, _ = queue_of(work, workers=2)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    await asyncio.sleep(0.1)
    assert queue.longest_running == pytest.approx(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
