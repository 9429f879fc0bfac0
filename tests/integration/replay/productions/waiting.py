"""Locks, semaphores, events, conditions, barriers, queues, and waits that end in time or not."""

from __future__ import annotations

from ..grammar import Production

PRODUCTIONS = [
    Production(
        "semaphore",
        "async",
        """
semaphore$n = asyncio.Semaphore([[1|2]])
async def fetch$n(what: str, units: float) -> str:
    async with semaphore$n:
        return await af(what, units)

out += await asyncio.gather(*(fetch$n(what, units) for what, units in (($', 5), ($', 0), ($', 2), ($', 0))))
""",
        quick=False,
    ),
    Production(
        "lock",
        "async",
        """
lock$n = asyncio.Lock()
order$n: list = []
async def enter$n(name: str) -> None:
    async with lock$n:
        order$n.append(await af(name))
        await asyncio.sleep(0)
        order$n.append(await ag(name))

await asyncio.gather(*(enter$n(name) for name in ($', $', $')))
out.append(await af(len(order$n)))
out += order$n
""",
    ),
    Production(
        "event and condition",
        "async",
        """
condition$n = asyncio.Condition()
ready$n: list = []
async def consumer$n() -> str:
    async with condition$n:
        await condition$n.wait_for(lambda: len(ready$n) >= 2)
    return await af(repr(ready$n))

async def producer$n(what: str) -> None:
    made = await af(what)
    async with condition$n:
        ready$n.append(made)
        condition$n.notify_all()

eating$n = asyncio.create_task(consumer$n())
for what$n in ($', $'):
    await producer$n(what$n)
out.append(await eating$n)
""",
    ),
    Production(
        "barrier",
        "async",
        """
barrier$n = asyncio.Barrier(3)
async def party$n(what: str) -> str:
    first = await af(what)
    await barrier$n.wait()
    return await ag(first)

out += await asyncio.gather(party$n($'), party$n($'), party$n($'))
""",
    ),
    Production(
        "queue",
        "async",
        """
queue$n: asyncio.Queue = asyncio.Queue([[0|1]])
async def produce$n() -> None:
    for item in range(3):
        await queue$n.put(await af(f"{item} {$'}"))
    await queue$n.put(None)

making$n = asyncio.create_task(produce$n())
while (item$n := await queue$n.get()) is not None:
    out.append(await ag(item$n))
await making$n
""",
    ),
    Production(
        "queue and workers",
        "async",
        """
queue$n: asyncio.Queue = asyncio.Queue()
taken$n: list = []
async def worker$n() -> None:
    while True:
        item = await queue$n.get()
        taken$n.append(await af(item))
        queue$n.task_done()

workers$n = [asyncio.create_task(worker$n()) for _ in range(2)]
for item$n in ($', $', $'):
    queue$n.put_nowait(item$n)
await queue$n.join()
for one$n in workers$n:
    one$n.cancel()
await asyncio.gather(*workers$n, return_exceptions=True)
out += sorted(taken$n)
""",
    ),
    Production(
        "queue with a timeout",
        "async",
        """
events$n: asyncio.Queue = asyncio.Queue()
batch$n: list = []
async def source$n() -> None:
    for item in range(3):
        events$n.put_nowait(await af(f"{item} {$'}", [[0|2|5]]))

filling$n = asyncio.create_task(source$n())
got$n = 0
while got$n < 3:
    try:
        batch$n.append(await asyncio.wait_for(events$n.get(), timeout=[[0.5|3|8]] * UNIT))
        got$n += 1
    except TimeoutError:
        if batch$n:
            out.append(await ag(repr(batch$n)))
            batch$n = []
        continue
out.append(batch$n)
await filling$n
""",
        quick=False,
    ),
    Production(
        "queue with a timeout until its end",
        "async",
        """
events$n: asyncio.Queue = asyncio.Queue()
async def source$n() -> None:
    for item in range(4):
        events$n.put_nowait(await af(f"{item} {$'}"))
    events$n.put_nowait(None)

filling$n = asyncio.create_task(source$n())
batch$n: list = []
while True:
    try:
        event$n = await asyncio.wait_for(events$n.get(), timeout=0.5 * UNIT)
    except TimeoutError:
        if batch$n:
            out.append(await ag(repr(batch$n)))
            batch$n = []
        continue
    if event$n is None:
        break
    batch$n.append(event$n)
out.append(batch$n)
await filling$n
""",
        quick=False,
    ),
    Production(
        "event waited for in time or not",
        "async",
        """
event$n = asyncio.Event()
async def setter$n() -> None:
    await af($', [[1|9]])
    event$n.set()

setting$n = asyncio.create_task(setter$n())
try:
    await asyncio.wait_for(event$n.wait(), timeout=4 * UNIT)
    out.append(await ag($'))
except TimeoutError:
    out.append(await af($'))
await setting$n
""",
        quick=False,
    ),
    Production(
        "timeout in time",
        "async",
        """
async with asyncio.timeout(100 * UNIT):
    <block>
out.append(await af($'))
""",
        timed=True,
    ),
    Production(
        "timeout that strikes",
        "async",
        """
try:
    async with asyncio.timeout(4 * UNIT):
        <block>
        out.append(await af($', 1000))
except TimeoutError:
    out.append(await ag($'))
""",
        timed=True,
        quick=False,
    ),
    Production(
        "wait_for",
        "async",
        """
async def limited$n() -> list:
    out: list = []
    <block>
    out.append(await af($', [[0|1000]]))
    return out

try:
    out += await asyncio.wait_for(limited$n(), 4 * UNIT)
except TimeoutError:
    out.append(await ag($'))
""",
        timed=True,
        quick=False,
    ),
    Production(
        "wait_for of a task",
        "async",
        """
task$n = asyncio.create_task(af($', [[0|1000]]))
try:
    out.append(await asyncio.wait_for(task$n, 4 * UNIT))
except TimeoutError:
    out.append(await ag(f"{task$n.cancelled()} {$'}"))
""",
        quick=False,
    ),
    Production(
        "heartbeat beside steps",
        "async",
        """
beats$n: list = []
async def beat$n() -> None:
    while True:
        await asyncio.sleep(2 * UNIT)
        beats$n.append(1)

beating$n = asyncio.create_task(beat$n())
out.append(await af($', 5))
out.append(await af($', 1))
beating$n.cancel()
with contextlib.suppress(asyncio.CancelledError):
    await beating$n
out.append(await ag($'))
""",
        quick=False,
    ),
]
