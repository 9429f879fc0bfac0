"""Callbacks, and many turns of the loop."""

from __future__ import annotations

from ..grammar import Production

PRODUCTIONS = [
    Production(
        "done callback",
        "async",
        """
ended$n: list = []
task$n = asyncio.create_task(af($'))
task$n.add_done_callback(lambda task: ended$n.append(task.result()))
out.append(await task$n)
await asyncio.sleep(0)
out.append(await ag(repr(ended$n)))
""",
    ),
    Production(
        "done callback that starts a task",
        "async",
        """
more$n: list = []
task$n = asyncio.create_task(af($'))
task$n.add_done_callback(lambda task: more$n.append(asyncio.ensure_future(ag(task.result()))))
await task$n
while not more$n:
    await asyncio.sleep(0)
out.append(await more$n[0])
""",
    ),
    Production(
        "done callback that sets an event",
        "async",
        """
event$n = asyncio.Event()
task$n = asyncio.create_task(af($'))
task$n.add_done_callback(lambda task: event$n.set())
await event$n.wait()
out.append(await af($'))
""",
    ),
    Production(
        "call_soon",
        "async",
        """
event$n = asyncio.Event()
asyncio.get_running_loop().[[call_soon|call_soon_threadsafe]](event$n.set)
await event$n.wait()
out.append(await af($'))
""",
    ),
    Production(
        "call_soon_threadsafe and other tasks",
        "async",
        """
future$n = asyncio.get_running_loop().create_future()
async def waits$n() -> str:
    return await af(await future$n)

task$n = asyncio.create_task(waits$n())
out.append(await af($'))
asyncio.get_running_loop().call_soon_threadsafe(future$n.set_result, $')
out.append(await task$n)
""",
    ),
    Production(
        "call_later",
        "async",
        """
loop$n = asyncio.get_running_loop()
event$n = asyncio.Event()
loop$n.[[call_later(2 * UNIT|call_at(loop$n.time() + UNIT]], event$n.set)
out.append(await af($', [[0|5]]))
await event$n.wait()
out.append(await af($'))
""",
        quick=False,
    ),
    Production(
        "many tasks that yield",
        "async",
        """
order$n: list = []
async def worker$n(name: int) -> None:
    got = await af(name)
    for _ in range([[2|3|name % 4]]):
        await asyncio.sleep(0)
        order$n.append(name)
    order$n.append(got)
    order$n.append(await [[asyncio.sleep(0, name)|af(-name)]])

await asyncio.gather(*(worker$n(name) for name in range([[5|40|300|500]])))
out.append(await af(",".join(map(str, order$n))))
""",
        unlike=True,
    ),
    Production(
        "many tasks that yield beside a step",
        "async",
        """
order$n: list = []
async def spinner$n(name: int) -> None:
    for _ in range([[2|3]]):
        await asyncio.sleep(0)
        order$n.append(name)

async def racer$n() -> None:
    await af($', 1)
    order$n.append("step")

await asyncio.gather(racer$n(), *(spinner$n(name) for name in range([[50|500]])))
out.append(order$n.index("step"))
out.append(await af($'))
""",
        quick=False,
    ),
    Production(
        "context variables",
        "async",
        """
variable$n = contextvars.ContextVar("variable$n", default="none")
async def reader$n() -> str:
    return await af(variable$n.get())

variable$n.set($')
out += await asyncio.gather(reader$n(), reader$n())
""",
    ),
    Production(
        "polling",
        "async",
        """
state$n: dict = {}
async def fill$n() -> None:
    state$n["value"] = await af($', [[0|2]])

task$n = asyncio.create_task(fill$n())
while "value" not in state$n:
    await asyncio.sleep(0.5 * UNIT)
out.append(await ag(state$n["value"]))
await task$n
""",
        quick=False,
    ),
]
