"""Waits for what Perdure knows nothing of: threads, pools, processes, sockets."""

from __future__ import annotations

from ..grammar import Production


def _outside(name: str, call: str) -> Production:
    return Production(
        name,
        "async",
        f"out.append(await {call})\nout.append(await [[af|ag]]($'))",
        threads=True,
        quick=False,
    )


_SECONDS = "[[0|1|15]]"

PRODUCTIONS = [
    _outside("asyncio.to_thread", f"asyncio.to_thread(pure, $', {_SECONDS})"),
    _outside("run_in_executor", f"asyncio.get_running_loop().run_in_executor(None, pure, $', {_SECONDS})"),
    _outside("anyio.to_thread", f"anyio.to_thread.run_sync(pure, $', {_SECONDS})"),
    Production(
        "wrap_future",
        "async",
        """
pool$n = concurrent.futures.ThreadPoolExecutor(2)
out.append(await asyncio.wrap_future(pool$n.submit(pure, $', [[0|1|15]])))
pool$n.shutdown()
out.append(await af($'))
""",
        threads=True,
        quick=False,
    ),
    Production(
        "outside beside steps",
        "async",
        """
out += await asyncio.gather(asyncio.to_thread(pure, $', [[0|5]]), af($'), af($', 2))
out.append(await af($'))
""",
        threads=True,
        quick=False,
    ),
    Production(
        "result of a thread as an argument",
        "async",
        """
body$n = await asyncio.to_thread(pure, $', [[0|3]])
for what$n in range(2):
    out.append(await af(f"{body$n} {what$n}"))
    body$n = await asyncio.to_thread(pure, $')
""",
        threads=True,
        quick=False,
    ),
    Production(
        "subprocess",
        "async",
        """
process$n = await asyncio.create_subprocess_exec("true")
out.append(await process$n.wait())
out.append(await af($'))
""",
        threads=True,
        quick=False,
    ),
    Production(
        "thread that calls back",
        "async",
        """
loop$n = asyncio.get_running_loop()
future$n: asyncio.Future = loop$n.create_future()
def work$n() -> None:
    loop$n.call_soon_threadsafe(future$n.set_result, pure($', [[0|3]]))
threading.Thread(target=work$n).start()
out.append(await future$n)
out.append(await af($'))
""",
        threads=True,
        quick=False,
    ),
    Production(
        "socket",
        "async",
        """
async def serve$n(reader, writer) -> None:
    writer.write(await reader.readline())
    writer.close()

server$n = await asyncio.start_server(serve$n, "127.0.0.1", 0)
async with server$n:
    reader$n, writer$n = await asyncio.open_connection(*server$n.sockets[0].getsockname())
    writer$n.write(b"hello\\n")
    out.append((await reader$n.readline()).decode())
    writer$n.close()
out.append(await af($'))
""",
        threads=True,
        quick=False,
    ),
]
