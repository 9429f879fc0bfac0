"""Tasks, groups, races."""

from __future__ import annotations

from ..grammar import Production

PRODUCTIONS = [
    Production("async step", "async", "out.append(await af($'))"),
    Production("async step that takes time", "async", "out.append(await af($', [[1|2|3]]))", quick=False),
    Production("sleep", "async", "await asyncio.sleep([[1|2]] * UNIT)", quick=False),
    Production(
        "async try",
        "async",
        """
try:
    <block>
    out.append(await [[afail|afail|af]]($'))
except Broken as error:
    out.append(f"caught {error}")
    <block>
finally:
    out.append(await ag($'))
""",
    ),
    Production(
        "gather",
        "async",
        """
async def one$n() -> list:
    out: list = []
    <block>
    return out

async def two$n() -> list:
    out: list = []
    <block>
    return out

out += await asyncio.gather(one$n(), two$n(), af($'))
""",
    ),
    Production(
        "gather of exceptions",
        "async",
        """
out += [repr(one) for one in await asyncio.gather(af($'), afail($'), af($'), return_exceptions=True)]
""",
    ),
    Production(
        "task group",
        "async",
        """
async def member$n(name: str) -> list:
    out: list = [await af(name)]
    <block>
    return out

async with asyncio.TaskGroup() as group$n:
    tasks$n = [group$n.create_task(member$n(name)) for name in ($', $')]
    <block>
out += [task.result() for task in tasks$n]
""",
    ),
    Production(
        "task group that fails",
        "async",
        """
ended$n: list = []
async def member$n(name: str) -> None:
    try:
        await af(name, 50)
    except asyncio.CancelledError:
        ended$n.append(f"cancelled {name}")
        raise

try:
    async with asyncio.TaskGroup() as group$n:
        group$n.create_task(member$n($'))
        group$n.create_task(afail($', 1))
        group$n.create_task(member$n($'))
except* Broken as errors:
    out.append(len(errors.exceptions))
out.append(await af(sorted(ended$n)))
""",
        quick=False,
    ),
    Production(
        "race",
        "async",
        """
tasks$n = [asyncio.create_task(af(what, units)) for what, units in (($', 9), ($', 1), ($', 60))]
done$n, left$n = await asyncio.wait(tasks$n, return_when=asyncio.FIRST_COMPLETED)
for task$n in left$n:
    task$n.cancel()
out.append(await ag(sorted(task.result() for task in done$n)))
out.append(len(await asyncio.gather(*left$n, return_exceptions=True)))
""",
        quick=False,
    ),
    Production(
        "race of sync and async steps",
        "async",
        """
async def quick$n() -> str:
    return f($')

tasks$n = {asyncio.create_task(quick$n()), asyncio.create_task(af($', 9))}
while tasks$n:
    done$n, tasks$n = await asyncio.wait(tasks$n, return_when=asyncio.FIRST_COMPLETED)
    for task$n in done$n:
        out.append(await ag(task$n.result()))
""",
        quick=False,
    ),
    Production(
        "as completed",
        "async",
        """
for next$n in asyncio.as_completed([af($', 9), af($', 1), af($', 5)]):
    out.append(await ag(await next$n))
""",
        quick=False,
    ),
    Production(
        "wait with a timeout",
        "async",
        """
task$n = asyncio.create_task(af($', [[0|9]]))
done$n, left$n = await asyncio.wait([task$n], timeout=3 * UNIT)
out.append(await ag(f"{len(done$n)} {len(left$n)} {$'}"))
out.append(await task$n)
""",
        quick=False,
    ),
    Production(
        "argument from a race",
        "async",
        """
first$n, second$n = asyncio.create_task(af($', 1)), asyncio.create_task(af($', 9))
await asyncio.wait([first$n, second$n], return_when=asyncio.FIRST_COMPLETED)
out.append(await ag(f"{first$n.done()} {second$n.done()}"))
out.append(await second$n)
""",
        quick=False,
    ),
    Production(
        "sync step and a timer",
        "async",
        """
beside$n = asyncio.create_task(asyncio.sleep(1000 * UNIT))
await asyncio.sleep(0)
out.append(f($', [[0|6|60]]))
try:
    async with asyncio.timeout(5 * UNIT):
        out.append(f($', 1))
        out.append(await af($'))
except TimeoutError:
    out.append("struck")
began$n = asyncio.get_running_loop().time()
out.append(f($', [[0|6]]))
await asyncio.sleep(2 * UNIT)
out.append(round((asyncio.get_running_loop().time() - began$n) / UNIT))
beside$n.cancel()
out.append(await af($'))
""",
        quick=False,
    ),
    Production(
        "sync steps in two tasks with timers",
        "async",
        """
async def ticks$n() -> list:
    for tick in range(3):
        await asyncio.sleep(4 * UNIT)
        out.append(f"tick {tick}")
    return []

ticking$n = asyncio.create_task(ticks$n())
for what$n in ($', $'):
    out.append(f(what$n, [[1|5]]))
    await asyncio.sleep(UNIT)
await ticking$n
""",
        quick=False,
    ),
    Production(
        "shield",
        "async",
        """
task$n = asyncio.create_task(af($', [[0|9]]))
try:
    async with asyncio.timeout(3 * UNIT):
        await asyncio.shield(task$n)
except TimeoutError:
    out.append(await ag($'))
out.append(await task$n)
""",
        quick=False,
    ),
]
