"""Many Workflows at once through one operator, against the same writes by a client that decides nothing.

A round makes everything anew. The clock runs from the first Workflow's creation to the last one's `Finished` in its
status. Whose processor time it takes is read from the processes, once nothing is left to do, and what is missing is
told, too: what others took of the machine meanwhile.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping

import psutil

from benchmarks.cluster.api_counters import requests, writes
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.nodeless import Nodeless
from benchmarks.table import Row, Series, paired
from tests.cluster.api import Json
from tests.harness.eventually import eventually
from tests.harness.processes import Child
from tests.integration.operator.operators import Operator

__all__ = ["rows"]

_AIM = 50.0
"""Runs a second."""

_ROUNDS = 3
_APPLIED_AT_A_TIME = 8
_FLOOR_AT_A_TIME = 32
"""As many as the operator has workers."""

_LONGEST = 600.0  # seconds
_PARTS = ("kube-apiserver", "etcd", "postgres", "operator", "stand-in", "client")
_DONE = "SELECT count(*) FROM perdure.runs WHERE state = 'succeeded'"

Figures = dict[str, float]


def rows(ground: ClusterGround, rounds: int, runs: int = 2000) -> Iterable[Row]:
    """What `runs` Workflows at once come to."""
    left = json.dumps(_left_by_one(ground))
    taken = paired(min(rounds, _ROUNDS), ours=lambda: _burst(ground, runs), floor=lambda: _floor(ground, runs, left))
    ours, floor = taken["ours"], taken["floor"]
    rate = ours["rate"]
    yield Row(
        f"{runs:,} Workflows at once, their pods played by a stand-in: runs/s through one operator",
        rate.text("", 1),
        f"a client that only makes the writes of as many runs {floor['rate'].text('', 1)}",
        rate.over(floor["rate"]).text("", 2),
        f"{_AIM:.0f}",
        rate.median >= _AIM,
    )
    yield Row("processor time per run, ms", _told(ours), _told(floor))
    yield Row("cores that others took meanwhile", ours["others"].text("", 2), floor["others"].text("", 2))
    yield Row("writes to the API per run, the user's and the kubelet's not counted", ours["writes"].text("", 2))


def _burst(ground: ClusterGround, runs: int) -> Figures:
    with Nodeless(ground) as nodeless:
        operator = nodeless.operator()
        operator.until_leading()
        nodeless.stand_in_kubelet()
        before, asked, machine = nodeless.cpu(), requests(nodeless.api), _busy()
        client = nodeless.client("apply", runs, _APPLIED_AT_A_TIME)
        ended = _until_finished(nodeless, operator, runs)
        figures = _figures(runs, before, nodeless.cpu(), machine)
        made = requests(nodeless.api) - asked
        operator.check()
    ours = writes(made).total() - made["POST workflows 201"] - made["PATCH pods/status 200"]
    return {**figures, "rate": runs / (ended - _times(client)["began"]), "writes": ours / runs}


def _until_finished(nodeless: Nodeless, operator: Operator, runs: int) -> float:
    """When the last status was written; returns once there is nothing left to do."""
    eventually(lambda: nodeless.database.query(_DONE) == [(runs,)], _LONGEST, every=0.5)
    eventually(lambda: not _unfinished(nodeless), 60, every=0.2)
    ended = time.monotonic()
    eventually(lambda: operator.metric("queue_depth") == 0 and _reported(nodeless, runs), 60, every=0.5)
    return ended


def _floor(ground: ClusterGround, runs: int, left: str) -> Figures:
    with Nodeless(ground) as nodeless:
        before, machine = nodeless.cpu(), _busy()
        client = nodeless.client("floor", runs, _FLOOR_AT_A_TIME, left)
        client.wait_for_output("ended", _LONGEST)
        figures = _figures(runs, before, nodeless.cpu(), machine)
        took = _times(client)
    return {**figures, "rate": runs / (took["ended"] - took["began"])}


def _unfinished(nodeless: Nodeless) -> list[Json]:
    return nodeless.list("workflows", fieldSelector="status.phase!=Succeeded", limit="1")


def _reported(nodeless: Nodeless, runs: int) -> bool:
    return requests(nodeless.api)["PATCH pods/status 200"] >= runs


def _times(client: Child) -> dict[str, float]:
    """By the clock that all processes share."""
    times: dict[str, float] = json.loads(client.output)
    return times


def _busy() -> tuple[float, float]:
    """When it is, and how long all cores together have been busy."""
    times = psutil.cpu_times()
    return time.monotonic(), sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def _figures(
    runs: int, before: Mapping[str, float], after: Mapping[str, float], machine: tuple[float, float]
) -> Figures:
    """Milliseconds of processor time per run, and the cores that others took."""
    spent = {name: taken - before.get(name, 0.0) for name, taken in after.items()}
    now, busy = _busy()
    others = (busy - machine[1] - sum(spent.values())) / (now - machine[0])
    return {**{name: 1000 * taken / runs for name, taken in spent.items()}, "others": others}


def _told(figures: Mapping[str, Series]) -> str:
    parts = {name: figures[name] for name in _PARTS if name in figures}
    sums = [sum(values) for values in zip(*(part.values for part in parts.values()), strict=True)]
    told = [f"{name} {part.median:.1f}" for name, part in parts.items() if part.median >= 0.05]
    return f"{Series(sums).text('', 1)}: {', '.join(told)}"


def _left_by_one(ground: ClusterGround) -> Json:
    """The status, the pod and the events that one run leaves, without what the API server adds."""
    with Nodeless(ground) as nodeless:
        operator = nodeless.operator()
        operator.until_leading()
        nodeless.stand_in_kubelet()
        nodeless.client("apply", 1, 1)
        _until_finished(nodeless, operator, 1)
        [workflow], [pod], events = (nodeless.list(plural) for plural in ("workflows", "pods", "events"))
    kept = ("labels", "annotations", "ownerReferences")
    metadata = {key: pod["metadata"][key] for key in kept}
    return {
        "status": workflow["status"],
        "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]},
        "events": [{key: value for key, value in event.items() if key != "metadata"} for event in events],
    }
