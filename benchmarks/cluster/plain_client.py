"""A client that only writes, several requests at a time; a process of its own.

`apply` creates Workflows, `finished` such that have finished, with the status that is given. `floor` makes for each
Workflow the writes that a run of it causes, in their order, with the bodies that a run left: what the API server alone
takes for that, if nobody decides anything.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.cluster.api_calls import Connection, Json, Server
from benchmarks.cluster.stand_in_kubelet import STATUS_PATCH, ended_status

__all__ = ["workflow"]

_WORKFLOWS = "/apis/perdure.io/v1alpha1/namespaces/{}/workflows"
_APPLY = "application/apply-patch+yaml"
Write = Callable[[Connection, str, int], None]


def workflow(name: str) -> Json:
    """The manifest that all runs here are of."""
    return {
        "apiVersion": "perdure.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": "bank:transfer",
            "image": "registry.example/bank:1.4",
            "input": {"source": "alice", "target": "bob", "amount": 100},
        },
    }


def _apply(connection: Connection, namespace: str, number: int) -> None:
    connection.send("POST", _WORKFLOWS.format(namespace), workflow(f"run-{number}"))


def _finished(status: Json) -> Write:
    def write(connection: Connection, namespace: str, number: int) -> None:
        name, path = f"done-{number}", _WORKFLOWS.format(namespace)
        connection.send("POST", path, workflow(name))
        _status(connection, f"{path}/{name}", name, status)

    return write


def _status(connection: Connection, path: str, name: str, status: Json) -> None:
    body = {**workflow(name), "status": status}
    del body["spec"]
    connection.send("PATCH", f"{path}/status?fieldManager=perdure&force=true&fieldValidation=Ignore", body, _APPLY)


class _Floor:
    """The writes of a run. `left`: the pod, the events and the status that one left."""

    def __init__(self, left: Json) -> None:
        self._left = left

    def write(self, connection: Connection, namespace: str, number: int) -> None:
        name = f"run-{number}"
        workflows, core = _WORKFLOWS.format(namespace), f"/api/v1/namespaces/{namespace}"
        uid = json.loads(connection.send("POST", workflows, workflow(name)))["metadata"]["uid"]
        begun = {key: value for key, value in self._left["status"].items() if key not in ("result", "completionTime")}
        _status(connection, f"{workflows}/{name}", name, {**begun, "phase": "Starting"})
        pod = self._left["pod"]
        owner = {**pod["metadata"]["ownerReferences"][0], "name": name, "uid": uid}
        metadata = {**pod["metadata"], "name": f"{name}-1", "ownerReferences": [owner]}
        query = "?fieldManager=perdure&fieldValidation=Strict"
        connection.send("POST", f"{core}/pods{query}", {**pod, "metadata": metadata})
        patch = {"status": ended_status()}
        connection.send("PATCH", f"{core}/pods/{name}-1/status", patch, STATUS_PATCH)
        _status(connection, f"{workflows}/{name}", name, self._left["status"])
        for told, event in enumerate(self._left["events"]):
            about = {**event["involvedObject"], "name": name, "uid": uid}
            named = {"name": f"{name}.{told}", "namespace": namespace}
            connection.send("POST", f"{core}/events", {**event, "metadata": named, "involvedObject": about})


def _write_all(server: Server, one: Callable[[Connection, int], None], count: int, at_a_time: int) -> None:
    numbers: Iterator[int] = iter(range(count))
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with server.connect() as connection:
                for number in numbers:
                    one(connection, number)
        except BaseException as error:  # noqa: BLE001 it is raised again below
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(at_a_time)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _main(what: str, kubeconfig: str, namespace: str, count: str, at_a_time: str, given: str = "null") -> None:
    server, body = Server(Path(kubeconfig)), json.loads(given)
    write = {"apply": lambda: _apply, "finished": lambda: _finished(body), "floor": lambda: _Floor(body).write}[what]()
    began = time.monotonic()
    _write_all(server, lambda connection, number: write(connection, namespace, number), int(count), int(at_a_time))
    print(json.dumps({"began": began, "ended": time.monotonic()}), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
