"""Plays the pods' part, and no more of scheduler and kubelet than the operator must see; a process of its own.

Each pod that appears begins its attempt, checkpoints one step and finishes its run, by the SQL functions that
`perdure exec` calls; then its status says that its container ended well, as a kubelet reports one that began and ended
between two of its looks. With `hold` it goes on running instead, and its heart beats. Pods that appear together share
statements. There is no binding to a node: so it takes little of the machine that it shares with what is measured.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg

from benchmarks.cluster.api_calls import Json, Server

__all__ = ["HEARTBEAT", "STATUS_PATCH", "ended_status"]

STATUS_PATCH = "application/strategic-merge-patch+json"
"""How a kubelet changes a pod's status."""

_REPORTERS = 4
_OURS = "app.kubernetes.io/managed-by=perdure"
_ADDED = b'{"type":"ADDED"'

_BEGIN = """
SELECT g.run, b.token FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[]) AS g (run, claim, process)
CROSS JOIN LATERAL perdure.begin(g.run, g.claim, g.process, 1, 'node-1', 1, 1, 'node-1') b
"""
_CHECKPOINT = """
SELECT unnest(perdure.checkpoints(%s::uuid[], %s::uuid[], %s::text[], %s::integer[], %s::text[], %s::integer[],
                                  %s::bigint[], %s::bigint[], %s::text[], %s::text[]))
"""
HEARTBEAT = "perdure.heartbeat"
"""What the statement by which hearts beat has in it, and no other."""

_BEAT = """
SELECT h.answer FROM unnest(%s::uuid[], %s::uuid[]) AS g (run, token)
CROSS JOIN LATERAL perdure.heartbeat(g.run, g.token, 1, 'wait') h
"""
_BEATS = 3.0  # seconds between two
_FINISH = """
SELECT perdure.finish(g.run, g.token, 'succeeded', '"hello you"', NULL)
FROM unnest(%s::uuid[], %s::uuid[]) AS g (run, token)
"""


@dataclass(slots=True)
class _Pod:
    path: str
    run: str
    claim: str
    token: UUID | None = None


_Pods = queue.SimpleQueue[_Pod]


def ended_status() -> Json:
    """The status of a pod whose container ended well, as a kubelet writes it."""
    now = _now()
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now, "containerID": "node://1"}
    return _status("Succeeded", {"terminated": ended}, runs=False)


def _running_status() -> Json:
    return _status("Running", {"running": {"startedAt": _now()}}, runs=True)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _status(phase: str, state: Json, *, runs: bool) -> Json:
    now, ready = _now(), str(runs)
    container = {
        "name": "workflow",
        "image": "registry.example/bank:1.4",
        "imageID": "registry.example/bank@sha256:0",
        "ready": runs,
        "started": runs,
        "restartCount": 0,
        "state": state,
    }
    told = {"Initialized": "True", "Ready": ready, "ContainersReady": ready, "PodScheduled": "True"}
    return {
        "phase": phase,
        "startTime": now,
        "podIP": "10.222.0.9",
        "podIPs": [{"ip": "10.222.0.9"}],
        "conditions": [{"type": name, "status": state, "lastTransitionTime": now} for name, state in told.items()],
        "containerStatuses": [container],
    }


def _pod(line: bytes) -> _Pod:
    body = json.loads(line)["object"]
    metadata = body["metadata"]
    container = next(one for one in body["spec"]["containers"] if one["name"] == "workflow")
    env = {one["name"]: one.get("value", "") for one in container["env"]}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
    return _Pod(path, env["PERDURE_RUN_ID"], env["PERDURE_CLAIM"])


def _begin(store: psycopg.Connection, pods: Sequence[_Pod]) -> None:
    """All attempts of these pods, up to their first step's end."""
    runs, claims, ones = [pod.run for pod in pods], [pod.claim for pod in pods], [1] * len(pods)
    begun = store.execute(_BEGIN, (runs, claims, [str(uuid4()) for _ in pods]))
    tokens = {str(run): token for run, token in begun}
    for pod in pods:
        pod.token = tokens[pod.run]
    names, nothing, result = ["greet"] * len(pods), [None] * len(pods), ['"hello you"'] * len(pods)
    steps = (runs, [pod.token for pod in pods], names, ones, names, ones, ones, ones, result, nothing)
    _call(store, _CHECKPOINT, steps)


def _call(store: psycopg.Connection, statement: LiteralString, values: Sequence[object]) -> None:
    answers = {row[0] for row in store.execute(statement, values)}
    if answers != {0}:
        raise RuntimeError(f"the store answered {answers} to {statement}")


def _finish(store: psycopg.Connection, pods: Sequence[_Pod]) -> None:
    _call(store, _FINISH, ([pod.run for pod in pods], [pod.token for pod in pods]))


def _beat(url: str, held: list[_Pod]) -> None:
    with psycopg.connect(url, autocommit=True) as store:
        while True:
            time.sleep(_BEATS)
            if pods := list(held):
                _call(store, _BEAT, ([pod.run for pod in pods], [pod.token for pod in pods]))


def _play(url: str, seen: _Pods, told: _Pods, held: list[_Pod] | None) -> None:
    with psycopg.connect(url, autocommit=True) as store:
        while True:
            pods = [seen.get()]
            while not seen.empty():
                pods.append(seen.get())
            _begin(store, pods)
            if held is None:
                _finish(store, pods)
            else:
                held += pods
            for pod in pods:
                told.put(pod)


def _report(server: Server, told: _Pods, status: Callable[[], Json]) -> None:
    with server.connect() as connection:
        while True:
            pod = told.get()
            connection.send("PATCH", pod.path, {"status": status()}, STATUS_PATCH)


def _stand_in(kubeconfig: str, url: str, namespace: str, hold: str = "") -> None:
    server = Server(Path(kubeconfig))
    seen: _Pods = queue.SimpleQueue()
    told: _Pods = queue.SimpleQueue()
    held: list[_Pod] | None = [] if hold else None
    _start(_play, url, seen, told, held)
    for _ in range(_REPORTERS):
        _start(_report, server, told, ended_status if held is None else _running_status)
    if held is not None:
        _start(_beat, url, held)
    with server.connect() as connection:
        print("watching", flush=True)
        pods = f"/api/v1/namespaces/{namespace}/pods"
        for line in connection.watch(pods, labelSelector=_OURS, timeoutSeconds="3000"):
            if line.startswith(_ADDED):
                seen.put(_pod(line))


def _start(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


if __name__ == "__main__":
    _stand_in(*sys.argv[1:])
