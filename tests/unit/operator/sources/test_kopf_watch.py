"""What kopf's thread hears comes to the operator's loop, all of it, whenever it comes."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import Any, cast

import pytest

from perdure_operator.controller.instances import Instance
from perdure_operator.sources.kopf_connection import _Readable
from perdure_operator.sources.kopf_watch import EventSource, Watched, _end


class Sink:
    """Has the second event be read until the first has been heard."""

    def __init__(self):
        self.heard_of: list[object] = []
        self.reading = threading.Event()
        self.first_heard = threading.Event()
        self.all_heard = asyncio.Event()

    def read(self, body):
        if body == {"number": 2}:
            self.reading.set()
            self.first_heard.wait(10)
        return body["number"]

    def heard(self, seen, gone):
        self.heard_of.append(seen)
        self.first_heard.set()
        if seen == 2:
            self.all_heard.set()


def test_what_is_read_while_others_are_delivered_is_delivered_too():
    asyncio.run(_hear_two())


async def _nobody():
    raise NotImplementedError


async def _hear_two():
    sink = Sink()
    source: Any = EventSource(
        workflows=Watched(dict, print),
        pods=Watched(sink.read, sink.heard),
        listed=lambda: None,
        credentials=_nobody,
        namespaces=(),
        selects=Instance(),
    )
    source._loop = asyncio.get_running_loop()

    def hear():
        for number in (1, 2):
            source._hear(source._pods, {"type": "MODIFIED", "object": {"number": number}})

    thread = threading.Thread(target=hear)
    thread.start()
    sink.reading.wait(10)  # the loop rests until both are on their way
    async with asyncio.timeout(5):
        await sink.all_heard.wait()
    thread.join()
    assert sink.heard_of == [1, 2]


def test_a_line_of_a_watch_that_nests_too_deeply_is_made_readable():
    deep = b'{"type":"ADDED","object":{"metadata":{"name":"odd"},"spec":{"x":' + b"[" * 5000 + b"]" * 5000 + b"}}}"
    lines = [b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}', deep, b'{"type":"BOOKMARK"}']
    whole = b"\n".join(lines) + b"\n"

    class Content:
        async def iter_chunked(self, size):
            for start in range(0, len(whole), 1000):
                yield whole[start : start + 1000]

    async def read():
        return b"".join([chunk async for chunk in _Readable(cast("Any", Content())).iter_chunked(5)])

    first, odd, last = asyncio.run(read()).splitlines()
    assert (first, last) == (lines[0], lines[2])
    told = json.loads(odd)
    assert (told["type"], told["object"]["metadata"]) == ("ADDED", {"name": "odd"})


def test_kopf_ends_though_a_watch_outlives_its_cancellation() -> None:
    async def watch() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def operate() -> None:
        await asyncio.wait([asyncio.ensure_future(watch())])
        raise ValueError("why kopf ended")

    async def main() -> None:
        async with asyncio.timeout(5):
            with pytest.raises(ValueError, match="why kopf ended"):
                await _end(asyncio.ensure_future(operate()))

    asyncio.run(main())
