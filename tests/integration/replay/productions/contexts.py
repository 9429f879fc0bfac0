"""Context managers: sync, async, stacks, generators that clean up."""

from __future__ import annotations

from ..grammar import Production

PRODUCTIONS = [
    Production(
        "with",
        "sync",
        """
@contextlib.contextmanager
def held$n():
    taken = f($')
    try:
        yield taken
    finally:
        out.append(g($'))

with held$n() as taken$n:
    out.append(taken$n)
    <block>
""",
    ),
    Production(
        "with and an error",
        "sync",
        """
@contextlib.contextmanager
def saga$n():
    undo: list = []
    try:
        yield undo
    except Broken as error:
        out.append(str(error))
        for one in reversed(undo):
            out.append(g(one))

with saga$n() as undo$n:
    undo$n.append(f($'))
    <block>
    undo$n.append(f($'))
    [[fail($')|pass]]
""",
    ),
    Production(
        "exit stack",
        "sync",
        """
with contextlib.ExitStack() as stack$n:
    for what$n in ($', $'):
        stack$n.callback(lambda what: out.append(g(what)), f(what$n))
    <block>
out.append(f($'))
""",
    ),
    Production(
        "suppress",
        "sync",
        """
with contextlib.suppress(Broken):
    <block>
    fail($')
out.append(f($'))
""",
    ),
    Production(
        "async with",
        "async",
        """
@contextlib.asynccontextmanager
async def lease$n():
    taken = await af($')
    try:
        yield taken
    finally:
        out.append(await ag($'))

async with lease$n() as taken$n:
    out.append(taken$n)
    <block>
""",
    ),
    Production(
        "async exit stack",
        "async",
        """
async def release$n(what: str) -> None:
    out.append(await ag(what))

async with contextlib.AsyncExitStack() as stack$n:
    stack$n.push_async_callback(release$n, await af($'))
    stack$n.push_async_callback(release$n, await af($'))
    <block>
""",
    ),
    Production(
        "async generator left early",
        "async",
        """
async def pages$n():
    try:
        for page in range(3):
            yield await af(f"{page} {$'}")
    finally:
        late$n.append(await ag($'))

late$n: list = []
async for page$n in pages$n():
    out.append(page$n)
    break
[[await asyncio.sleep(0)|out.append(await af($'))|pass]]
<block>
while not late$n:
    await asyncio.sleep(UNIT)
out.append(await ag(late$n[0]))
""",
        quick=False,
    ),
    Production(
        "async generator closed",
        "async",
        """
async def pages$n():
    try:
        while True:
            yield await af($')
    finally:
        out.append(await ag($'))

async with contextlib.aclosing(pages$n()) as pages_$n:
    async for page$n in pages_$n:
        out.append(page$n)
        <block>
        break
""",
    ),
    Production(
        "async comprehension",
        "async",
        """
async def pages$n():
    for page in range(3):
        yield await af(f"{page} {$'}")

out += [page async for page in pages$n() if not page.startswith("af(1")]
""",
    ),
]
