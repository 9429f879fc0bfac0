"""What a run has the API server write beyond what a bare pod has it write, by the API server's own counters.

Counted is whatever anybody writes while a run or a bare pod goes from its creation to its end: the user, the operator,
the scheduler, the kubelet. Only Leases and the kubelets' reports about their nodes, which come by the clock, are not.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from benchmarks.cluster.api_counters import Requests, requests, writes
from benchmarks.cluster.bare import bare_pod, ended, until_no_pods
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.runs import STEPS, Run
from benchmarks.table import Row, Series
from tests.harness.eventually import eventually

_RUNS = 3
_QUIET = 3.0  # seconds in which nothing is written: it is over
_AIM = 8
_LONG = 90
_EVERY = 30  # seconds of running that may cost one write more
_BY_THE_CLOCK = ("PATCH nodes/status ", "PATCH nodes ", "PUT nodes/status ")


def rows(ground: ClusterGround, rounds: int) -> Iterable[Row]:
    taken: dict[str, list[Requests]] = {"bare": [], "one": [], "many": []}
    for _ in range(min(rounds, _RUNS)):
        taken["bare"].append(_counted(ground, lambda namespace: _bare(ground, namespace)))
        taken["one"].append(_counted(ground, lambda namespace: _run(ground, namespace, 1, 0)))
        taken["many"].append(_counted(ground, lambda namespace: _run(ground, namespace, 200, 0)))
    taken["long"] = [_counted(ground, lambda namespace: _run(ground, namespace, _LONG, 1))]
    bare = taken["bare"]
    floor = Series([one.total() for one in bare])
    yield Row("API writes of a bare pod", floor.text(), _told(bare))
    for name, what, aim in (
        ("one", "of one step", _AIM),
        ("many", "of 200 steps", _AIM),
        ("long", f"that runs for {_LONG} s, a step each second", _AIM + _LONG // _EVERY),
    ):
        more = Series([one.total() - floor.median for one in taken[name]])
        yield Row(
            f"API writes of a run {what}, beyond a bare pod's",
            more.text(),
            _told([_beyond(one, bare[0]) for one in taken[name]]),
            "",
            f"{aim}",
            more.median <= aim,
        )


def _counted(ground: ClusterGround, act: Callable[[str], None]) -> Requests:
    """What is written while something happens in a namespace of its own."""
    with ground.installation.workspace() as namespace:
        # The end of a namespace is written, too, and that of an earlier one may still be under way.
        eventually(lambda: not _ending_namespaces(ground), 120, every=0.5)
        before = _settled(ground)
        act(namespace)
        after = _settled(ground)
    until_no_pods(ground, namespace)
    return after - before


def _bare(ground: ClusterGround, namespace: str) -> None:
    path, pod = f"/api/v1/namespaces/{namespace}/pods", bare_pod(ground, namespace, "pass")
    ground.cluster.api.create(path, pod)
    _until_over(ground, f"{path}/{pod['metadata']['name']}")


def _run(ground: ClusterGround, namespace: str, steps: int, seconds: float) -> None:
    run = Run.start(ground, namespace, STEPS, input={"steps": steps, "seconds": seconds})
    run.until_succeeded(steps * seconds + 60)
    _until_over(ground, f"/api/v1/namespaces/{namespace}/pods/{run.pod()['metadata']['name']}")


def _until_over(ground: ClusterGround, pod: str) -> None:
    eventually(lambda: ended(ground.cluster.api.get(pod)), 60, every=0.25)


def _ending_namespaces(ground: ClusterGround) -> list[str]:
    namespaces = ground.cluster.api.get("/api/v1/namespaces")["items"]
    return [one["metadata"]["name"] for one in namespaces if "deletionTimestamp" in one["metadata"]]


def _settled(ground: ClusterGround) -> Requests:
    """All writes so far, once there were no more for a while."""
    seen, since = _writes(ground), time.monotonic()

    def quiet() -> bool:
        nonlocal seen, since
        if (now := _writes(ground)) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= _QUIET

    eventually(quiet, 120, every=0.5)
    return seen


def _writes(ground: ClusterGround) -> Requests:
    counted = writes(requests(ground.cluster.api))
    return Counter({what: count for what, count in counted.items() if not what.startswith(_BY_THE_CLOCK)})


def _beyond(taken: Requests, bare: Requests) -> Requests:
    return Counter({what: taken[what] - bare[what] for what in sorted({*taken, *bare}) if taken[what] != bare[what]})


def _told(taken: list[Requests]) -> str:
    """By verb and resource, from the first round."""
    summed: Requests = Counter()
    for what, count in taken[0].items():
        verb, resource, code = what.split()
        refused = "" if code.startswith("2") else f" ({code})"
        summed[f"{verb} {resource}{refused}"] += count
    return ", ".join(f"{what} {count}" for what, count in summed.items() if count)
