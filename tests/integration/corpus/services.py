"""Async programs that talk to services."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import anyio

import perdure
from perdure import Retry, StepTimeout, step, workflow

from .outside import call_key, is_plain, tell, tries, world

P = ParamSpec("P")
R = TypeVar("R")


@step
async def get(url: str) -> str:
    await asyncio.sleep(0.001 * (len(url) % 3))
    tell("get", url)
    return f"<{url}>"


@step
async def save(name: str, body: str) -> int:
    tell("save", (name, body))
    return len(body)


@workflow
async def scrape(urls: list[str]) -> dict[str, int]:
    limit = asyncio.Semaphore(2)

    async def one(url: str) -> tuple[str, int]:
        async with limit:
            body = await get(url)
        return url, await save(url, body.upper())

    return dict(await asyncio.gather(*(one(url) for url in urls)))


@step
async def square(number: int) -> int:
    tell("square", number)
    return number**2


@workflow
async def fan_out_fan_in(numbers: list[int]) -> int:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(square(number)) for number in numbers]
    return await square(sum(task.result() for task in tasks))


@step
async def job_status(job: str) -> str:
    tell("status", job)
    asked = world().state.setdefault(job, [])
    # A service that minds idempotency keys: asked again, it says the same again.
    if (key := call_key()) not in asked:
        asked.append(key)
    return "done" if asked.index(key) >= 2 else "running"


@step
async def fetch_result(job: str) -> str:
    tell("fetch", job)
    return f"result of {job}"


@workflow
async def poll_until_done(job: str) -> str:
    delay = 0.001
    while await job_status(job) != "done":
        await asyncio.sleep(delay)
        delay *= 2
    return await fetch_result(job)


@step
async def send(recipient: str) -> str:
    tell("send", recipient)
    return recipient.upper()


@workflow
async def rate_limited(recipients: list[str], per_second: int) -> list[str]:
    sent = []
    for recipient in recipients:
        sent.append(await send(recipient))
        await asyncio.sleep(1 / per_second)
    return sent


@step
async def primary(query: str) -> str:
    if query == "slow":
        await asyncio.sleep(60)
    return f"primary {query}"


@step
async def fallback(query: str) -> str:
    tell("fallback", query)
    return f"fallback {query}"


@workflow
async def with_fallback(query: str) -> str:
    try:
        return await asyncio.wait_for(primary(query), timeout=0.2)
    except TimeoutError:
        return await fallback(query)


@workflow
async def with_anyio_fallback(query: str) -> str:
    answer = "nothing"
    with anyio.move_on_after(0.2) as scope:
        answer = await primary(query)
    if scope.cancelled_caught:
        answer = await fallback(query)
    return answer


class CircuitOpen(Exception):
    pass


@dataclass
class Breaker:
    limit: int
    failures: int = 0

    async def call(self, function: Callable[[int], Awaitable[str]], argument: int) -> str:
        if self.failures >= self.limit:
            raise CircuitOpen(f"after {self.failures} failures")
        try:
            answer = await function(argument)
        except ConnectionError:
            self.failures += 1
            raise
        self.failures = 0
        return answer


@step
async def shaky(number: int) -> str:
    tell("shaky", number)
    if number % 4 > 1:
        raise ConnectionError(f"no {number}")
    return f"ok {number}"


@workflow
async def circuit_breaker(count: int) -> list[str]:
    breaker = Breaker(2)
    answers = []
    for number in range(count):
        try:
            answers.append(await breaker.call(shaky, number))
        except CircuitOpen as error:
            answers.append(f"open {error}")
            breaker = Breaker(2)
        except ConnectionError as error:
            answers.append(str(error))
    return answers


def retrying(times: int) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def retried(*args: P.args, **kwargs: P.kwargs) -> R:
            for left in reversed(range(times)):
                try:
                    return await function(*args, **kwargs)
                except ConnectionError:
                    if not left:
                        raise
                    await asyncio.sleep(0.001)
            raise AssertionError

        return retried

    return decorate


@step
async def flaky_upload(name: str, part: int) -> str:
    tell("upload", (name, part))
    if part < 2:
        raise ConnectionError(f"part {part}")
    return f"{name}/{part}"


@workflow
async def retried_by_hand(names: list[str]) -> list[str]:
    uploaded = []
    for name in names:
        parts = iter(range(5))

        @retrying(4)
        async def upload(name: str = name, parts: object = parts) -> str:
            return await flaky_upload(name, next(parts))  # type: ignore[call-overload]

        uploaded.append(await upload())
    return uploaded


@step(retry=Retry(tries=3, delay=0, on=ConnectionError), timeout=5)
async def upload_file(name: str) -> str:
    if tries() < 3:
        raise ConnectionError("reset by peer")
    tell("uploaded", name)
    return f"s3://{name}"


@workflow
async def batch_with_retries(names: list[str]) -> list[str]:
    return [url for url in await asyncio.gather(*map(upload_file, names)) if url.endswith("g")]


@step
async def replica(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return name


@workflow
async def hedged(query: str) -> str:
    tasks = [asyncio.create_task(replica(f"{query} a", 30)), asyncio.create_task(replica(f"{query} b", 0.001))]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return await send(done.pop().result())


@step
async def deliver(hook: str, payload: dict[str, int]) -> int:
    await asyncio.sleep(0.001 * len(hook))
    tell("deliver", (hook, payload))
    return 200 if "good" in hook else 500


@workflow
async def webhooks(hooks: list[str]) -> list[int]:
    delivered = asyncio.as_completed([deliver(hook, {"n": n}) for n, hook in enumerate(hooks)])
    return sorted([await one for one in delivered])


@workflow
async def cache_stampede(keys: list[str]) -> list[str]:
    cache: dict[str, str] = {}
    locks: dict[str, asyncio.Lock] = {}

    async def cached(key: str) -> str:
        async with locks.setdefault(key, asyncio.Lock()):
            if key not in cache:
                cache[key] = await get(key)
            return cache[key]

    return await asyncio.gather(*map(cached, keys))


@workflow
async def producers_and_consumers(count: int) -> list[str]:
    queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=2)
    results: list[str] = []

    async def produce() -> None:
        for number in range(count):
            await queue.put(await get(f"item {number}"))
        await queue.put(None)

    async def consume() -> None:
        while (item := await queue.get()) is not None:
            results.append(await send(item))

    await asyncio.gather(produce(), consume())
    return results


@workflow
async def batches_by_time(count: int) -> int:
    events: asyncio.Queue[str] = asyncio.Queue()
    flushed: list[int] = []

    async def listen() -> None:
        for number in range(count):
            await events.put(await get(f"e{number}"))

    listening = asyncio.create_task(listen())
    batch: list[str] = []
    while sum(flushed) < count:
        try:
            batch.append(await asyncio.wait_for(events.get(), timeout=0.02))
        except TimeoutError:
            if batch:
                flushed.append(len(batch))
                await save("batch", ",".join(batch))
                batch = []
    await listening
    return sum(flushed)


@asynccontextmanager
async def lease(name: str) -> AsyncIterator[str]:
    token = await get(f"lease {name}")
    try:
        yield token
    finally:
        await send(f"release {name}")


async def tail(name: str) -> AsyncGenerator[str, None]:
    number = 0
    try:
        while True:
            yield await get(f"{name} {number}")
            number += 1
    finally:
        await send(f"closed {name}")


@workflow
async def tail_under_lease(name: str) -> list[str]:
    lines: list[str] = []
    async with lease(name) as token:
        lines.append(token)
        async with aclosing(tail(name)) as stream:
            async for line in stream:
                lines.append(line)
                if len(lines) > 2:
                    break
    return lines


@workflow
async def heartbeat_beside(count: int) -> list[str]:
    async def beat() -> None:
        while True:
            await asyncio.sleep(0.001)

    beating = asyncio.create_task(beat())
    try:
        return [await get(f"part {number}") for number in range(count)]
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
        await send("finished")


@step(timeout=0.05)
async def never(name: str) -> str:
    if is_plain():
        raise StepTimeout(name)
    await asyncio.sleep(60)
    return name


@workflow
async def step_timeouts(name: str) -> str:
    try:
        return await never(name)
    except StepTimeout:
        return await fallback(name)


def parse(body: str) -> int:
    return len(body) + random.Random(body).randint(0, 0)


@workflow
async def parse_in_threads(urls: list[str]) -> list[int]:
    bodies = await asyncio.gather(*(get(url) for url in urls))
    sizes = await asyncio.gather(*(asyncio.to_thread(parse, body) for body in bodies))
    await save("sizes", str(sizes))
    return sizes


@step
def compress(body: str) -> str:
    tell("compress", body)
    return body[:2]


@workflow
async def steps_in_threads(urls: list[str]) -> list[str]:
    bodies = [await get(url) for url in urls]
    small = await asyncio.gather(*(perdure.to_thread(compress, body) for body in bodies))
    return [compress(one + "!") for one in small]


PROGRAMS = [
    (scrape, (["a", "bb", "ccc", "dddd"],)),
    (fan_out_fan_in, ([1, 2, 3],)),
    (poll_until_done, ("j1",)),
    (rate_limited, (["ada", "bob"], 500)),
    (with_fallback, ("slow",)),
    (with_fallback, ("fast",)),
    (with_anyio_fallback, ("slow",)),
    (circuit_breaker, (6,)),
    (retried_by_hand, (["x", "y"],)),
    (batch_with_retries, (["a.png", "b.txt"],)),
    (hedged, ("q",)),
    (webhooks, (["good/1", "bad/12", "good/123"],)),
    (cache_stampede, (["k", "k", "l"],)),
    (producers_and_consumers, (3,)),
    (batches_by_time, (4,)),
    (tail_under_lease, ("log",)),
    (heartbeat_beside, (3,)),
    (step_timeouts, ("x",)),
    (parse_in_threads, (["a", "bb"],)),
    (steps_in_threads, (["a", "bb"],)),
]
