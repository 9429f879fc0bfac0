"""Pools of threads whose branches call steps."""

from __future__ import annotations

from ..grammar import Production

PRODUCTIONS = [
    Production(
        "pool and map",
        "sync",
        """
with perdure.ThreadPoolExecutor([[1|2|4]]) as pool$n:
    out += list(pool$n.map([[f|f|pure]], [$', $', $']))
out.append(f($'))
""",
        threads=True,
    ),
    Production(
        "pool left before its work is done",
        "sync",
        """
with perdure.ThreadPoolExecutor([[1|2]]) as pool$n:
    futures$n = [pool$n.submit([[f|f|pure]], what, [[0|0.5]]) for what in ($', $', $')]
out += [one.result() for one in futures$n]
out.append(f($'))
""",
        threads=True,
        quick=False,
    ),
    Production(
        "pool shut down",
        "sync",
        """
pool$n = perdure.ThreadPoolExecutor(2)
futures$n = [pool$n.submit([[f|pure]], what) for what in ($', $')]
pool$n.shutdown([[|wait=True|wait=False]])
out += [one.result() for one in futures$n]
out.append(f($'))
""",
        threads=True,
    ),
    Production(
        "pools in a loop",
        "sync",
        """
for round$n in range(2):
    with perdure.ThreadPoolExecutor(2) as pool$n:
        out += list(pool$n.map(lambda what: f(f"{what} {round$n}"), [$', $']))
    out.append(g(f"{round$n} {$'}"))
""",
        threads=True,
    ),
    Production(
        "pool of branches",
        "sync",
        """
def branch$n(name: str) -> list:
    out: list = [f(name)]
    <block>
    return out

with perdure.ThreadPoolExecutor([[1|2|3]]) as pool$n:
    out += list(pool$n.map(branch$n, [$', $']))
out.append(f($'))
""",
        threads=True,
        inside="sync",
    ),
    Production(
        "pool whose function raises",
        "sync",
        """
def broken$n(what: str) -> str:
    if what == $':
        return f(what)
    [[fail(what)|raise Broken(what)]]
    return what

try:
    with perdure.ThreadPoolExecutor(2) as pool$n:
        out += list(pool$n.map(broken$n, [$', $']))
except Broken as error:
    out.append(str(error))
out.append(f($'))
""",
        threads=True,
    ),
    Production(
        "pool and an error beside it",
        "sync",
        """
try:
    with perdure.ThreadPoolExecutor(2) as pool$n:
        future$n = pool$n.submit(f, $')
        raise Broken("beside")
except Broken:
    out.append(future$n.result())
""",
        threads=True,
    ),
    Production(
        "result in time or not",
        "sync",
        """
pool$n = perdure.ThreadPoolExecutor(2)
future$n = pool$n.submit(f, $', [[0|12]])
try:
    out.append(future$n.[[result|exception]](timeout=4 * UNIT))
except TimeoutError:
    out.append("late")
    out.append(g($'))
out.append(future$n.result())
pool$n.shutdown()
""",
        threads=True,
        quick=False,
    ),
    Production(
        "waits in time or not",
        "sync",
        """
pool$n = perdure.ThreadPoolExecutor(3)
futures$n = [pool$n.submit(f, $', 12), pool$n.submit(f, $')]
done$n, left$n = concurrent.futures.wait(futures$n, [[timeout=4 * UNIT|return_when="FIRST_COMPLETED"]])
out.append([len(done$n), len(left$n)])
out.append(g(f"{len(done$n)} {$'}"))
out += sorted(one.result() for one in concurrent.futures.as_completed(futures$n))
pool$n.shutdown()
""",
        threads=True,
        quick=False,
    ),
    Production(
        "as completed, one after the other",
        "sync",
        """
with perdure.ThreadPoolExecutor(3) as pool$n:
    futures$n = [pool$n.submit(f, what, units) for what, units in (($', 9), ($', 0), ($', 18))]
    for future$n in concurrent.futures.as_completed(futures$n):
        out.append(g(future$n.result()))
""",
        threads=True,
        quick=False,
    ),
    Production(
        "work that is dropped",
        "sync",
        """
pool$n = perdure.ThreadPoolExecutor(1)
futures$n = [pool$n.submit(f, what, 4) for what in ($', $', $')]
pool$n.shutdown(wait=[[True|False]], cancel_futures=True)
for future$n in futures$n:
    try:
        out.append(future$n.result())
    except concurrent.futures.CancelledError:
        out.append("dropped")
out.append(g($'))
""",
        threads=True,
        quick=False,
    ),
    Production(
        "callbacks of futures",
        "sync",
        """
ended$n: list = []
with perdure.ThreadPoolExecutor(2) as pool$n:
    futures$n = [pool$n.submit(f, what) for what in ($', $')]
    for future$n in futures$n:
        future$n.add_done_callback(lambda future: ended$n.append(future.result()))
out += sorted(ended$n)
out.append(f(len(ended$n)))
""",
        threads=True,
    ),
    Production(
        "plain pool and plain threads",
        "sync",
        """
with concurrent.futures.ThreadPoolExecutor(2) as pool$n:
    out += list(pool$n.map(pure, [$', $'], ([[0|1]], [[0|2]])))
thread$n = threading.Thread(target=pure, args=($', [[0|2]]))
thread$n.start()
thread$n.join()
out.append(f($'))
""",
        threads=True,
        quick=False,
    ),
    Production(
        "tasks in threads",
        "async",
        """
def branch$n(name: str) -> list:
    out: list = [f(name)]
    <block>
    return out

out += await asyncio.gather(*(perdure.to_thread(branch$n, what) for what in ($', $')))
out.append(await af($'))
""",
        threads=True,
        inside="sync",
    ),
    Production(
        "pool in an async workflow",
        "async",
        """
with perdure.ThreadPoolExecutor(2) as pool$n:
    futures$n = [asyncio.wrap_future(pool$n.submit(f, what)) for what in ($', $')]
    out += await asyncio.gather(*futures$n)
out.append(await af($'))
""",
        threads=True,
    ),
    Production(
        "pool of the loop",
        "async",
        """
loop$n = asyncio.get_running_loop()
with perdure.ThreadPoolExecutor(2) as pool$n:
    out += await asyncio.gather(*(loop$n.run_in_executor(pool$n, f, what) for what in ($', $')))
out.append(await af($'))
""",
        threads=True,
    ),
]
