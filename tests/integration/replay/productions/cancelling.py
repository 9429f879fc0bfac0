"""Cancellation: scopes of anyio, messages, tasks that cancel themselves or each other, cleanup."""

from __future__ import annotations

from ..grammar import Production

PRODUCTIONS = [
    Production(
        "move_on_after",
        "async",
        """
with anyio.move_on_after(4 * UNIT) as scope$n:
    <block>
    out.append(await af($', [[0|1000]]))
out.append(await ag(f"{scope$n.cancelled_caught} {$'}"))
""",
        timed=True,
        quick=False,
    ),
    Production(
        "fail_after",
        "async",
        """
try:
    with anyio.fail_after(4 * UNIT):
        <block>
        out.append(await [[af($', 1000)|af($')|asyncio.sleep(1000 * UNIT)]])
except TimeoutError:
    out.append(await ag($'))
""",
        timed=True,
        quick=False,
    ),
    Production(
        "anyio task group",
        "async",
        """
got$n: list = []
async def member$n(what: str) -> None:
    out = got$n
    out.append(await af(what))
    <block>

async with anyio.create_task_group() as group$n:
    group$n.start_soon(member$n, $')
    group$n.start_soon(member$n, $')
out += sorted(got$n, key=repr)
out.append(await ag($'))
""",
    ),
    Production(
        "anyio task group that is cancelled",
        "async",
        """
async def forever$n(what: str) -> None:
    await af(what, 1000)

async with anyio.create_task_group() as group$n:
    group$n.start_soon(forever$n, $')
    group$n.start_soon(anyio.sleep_forever)
    out.append(await af($', 1))
    group$n.cancel_scope.cancel()
out.append(await ag($'))
""",
        quick=False,
    ),
    Production(
        "anyio shield",
        "async",
        """
with anyio.move_on_after(2 * UNIT):
    try:
        await af($', 1000)
    finally:
        with anyio.CancelScope(shield=True):
            out.append(await ag($'))
out.append(await af($'))
""",
        quick=False,
    ),
    Production(
        "anyio events and streams",
        "async",
        """
send$n, receive$n = anyio.create_memory_object_stream(1)
async def produce$n() -> None:
    async with send$n:
        for item in range(2):
            await send$n.send(await af(f"{item} {$'}"))

async with anyio.create_task_group() as group$n:
    group$n.start_soon(produce$n)
    async with receive$n:
        async for item$n in receive$n:
            out.append(await ag(item$n))
""",
    ),
    Production(
        "cancel with a message",
        "async",
        """
async def told$n() -> str:
    try:
        return await [[af($', 1000)|asyncio.sleep(1000 * UNIT, "slept")]]
    except asyncio.CancelledError as error:
        return await ag(f"{error.args}")

task$n = asyncio.create_task(told$n())
out.append(await af($', 1))
task$n.cancel("why")
out.append(await task$n)
""",
        quick=False,
    ),
    Production(
        "task that cancels itself",
        "async",
        """
ended$n: list = []
async def suicidal$n() -> None:
    task = asyncio.current_task()
    assert task is not None
    ended$n.append(await af($'))
    task.cancel()
    try:
        ended$n.append(await af($'))
    finally:
        ended$n.append(await ag($'))

task$n = asyncio.create_task(suicidal$n())
beside$n = asyncio.create_task(af($'))
done$n = await asyncio.gather(task$n, beside$n, return_exceptions=True)
out.append([repr(one) for one in done$n])
out.append(ended$n)
out.append(await af($'))
""",
    ),
    Production(
        "tasks that cancel each other",
        "async",
        """
ended$n: list = []
async def fighter$n(name: int, units: float) -> None:
    try:
        await af(name, units)
        for other in tasks$n:
            if other is not asyncio.current_task():
                other.cancel(f"by {name}")
    except asyncio.CancelledError as error:
        ended$n.append([name, list(error.args)])
        raise

tasks$n = [asyncio.create_task(fighter$n(name, units)) for name, units in enumerate([9, 1, 60])]
out.append([one is None for one in await asyncio.gather(*tasks$n, return_exceptions=True)])
out.append(ended$n)
out.append(await ag($'))
""",
        quick=False,
    ),
    Production(
        "cleanup that awaits",
        "async",
        """
async def tick$n() -> None:
    while True:
        await asyncio.sleep(UNIT)

ticking$n = asyncio.create_task(tick$n())
try:
    out.append(await af($', [[0|3]]))
finally:
    ticking$n.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticking$n
    await asyncio.sleep(UNIT)
    out.append(await ag($'))
""",
        quick=False,
    ),
    Production(
        "cancelled step with steps in finally",
        "async",
        """
ended$n: list = []
async def saga$n() -> None:
    await af($')
    try:
        await af($', 1000)
    finally:
        ended$n.append(await ag($'))
        ended$n.append(f($'))

task$n = asyncio.create_task(saga$n())
await asyncio.sleep(3 * UNIT)
task$n.cancel()
out.append(repr((await asyncio.gather(task$n, return_exceptions=True))[0]))
out.append(ended$n)
out.append(await af($'))
""",
        quick=False,
    ),
    Production(
        "cancellation swallowed",
        "async",
        """
async def stubborn$n() -> str:
    try:
        await af($', 1000)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    return await ag($')

task$n = asyncio.create_task(stubborn$n())
await asyncio.sleep(UNIT)
task$n.cancel()
out.append(await task$n)
""",
        quick=False,
    ),
    Production(
        "cancelled before it began",
        "async",
        """
task$n = asyncio.create_task(af($'))
task$n.cancel()
out.append(repr((await asyncio.gather(task$n, return_exceptions=True))[0]))
out.append(await af($'))
""",
    ),
]
