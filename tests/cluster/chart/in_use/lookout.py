"""Looks out, while something is done to the operators, for how long nobody of them looks at a Workflow.

Each moment a suspended Workflow is made, which costs a reconcile and no pod; and now and then one that runs, which has
to finish in its first attempt.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Self

from tests.cluster.api import Api, Json
from tests.cluster.product import workflows
from tests.cluster.product.stage import QUICK, Stage

__all__ = ["Lookout"]

_EVERY = 0.5  # seconds
_RUNS_EVERY = 10
"""How many suspended ones come with one that runs."""


class Lookout:
    """While the block lasts; after it, what came of it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_out)
        self._failure: Exception | None = None
        self._made: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._runs: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        for name in self._runs:
            assert self._stage.until_finished(name)["attempts"] == 1

    def longest(self) -> float:
        """Seconds that the Workflow was there which waited longest for its first status."""
        return max(self._seen[name] - made for name, made in self._made.items())

    def slowest_run(self) -> float:
        """Seconds from the creation to the end of the run that took longest, as its status has them."""
        return max(_seconds(self._stage.get(name)) for name in self._runs)

    def _look_out(self) -> None:
        api = self._stage.cluster.another_api()
        collection = workflows.path(self._stage.namespace)
        try:
            while not self._stop.is_set() or self._made.keys() - self._seen.keys():
                number = len(self._made)
                if not self._stop.is_set():
                    self._make(api, collection, number)
                for body in api.get(collection, labelSelector="look=out")["items"]:
                    if workflows.condition(body, "Finished"):
                        self._seen.setdefault(body["metadata"]["name"], time.monotonic())
                if self._stop.is_set() and time.monotonic() - max(self._made.values()) > 60:
                    raise AssertionError(f"nobody looks at {sorted(self._made.keys() - self._seen.keys())}")
                self._stop.wait(_EVERY)
                if self._stop.is_set():
                    time.sleep(_EVERY / 5)
        except Exception as failure:  # it is the test's
            self._failure = failure
        finally:
            api.close()

    def _make(self, api: Api, collection: str, number: int) -> None:
        name = f"look-{number}"
        body = workflows.workflow(name, QUICK, suspend=True)
        body["metadata"]["labels"] = {"look": "out"}
        api.create(collection, body)
        self._made[name] = time.monotonic()
        if number % _RUNS_EVERY == 0:
            self._runs.append(f"run-{number}")
            api.create(collection, workflows.workflow(self._runs[-1], QUICK))


def _seconds(body: Json) -> float:
    made, ended = body["metadata"]["creationTimestamp"], body["status"]["completionTime"]
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(made)).total_seconds()
