"""Workflows of a row, and what the store says of their runs; the store and this machine have the same clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from benchmarks.cluster.bare import until_no_pods
from benchmarks.cluster.ground import ClusterGround
from tests.cluster.api import Json
from tests.cluster.product import workflows
from tests.harness.eventually import eventually

__all__ = ["HELD", "STEPS", "Run"]

STEPS = """
import time
from perdure import step, workflow

@step
def work(n, seconds):
    time.sleep(seconds)
    return n

@workflow
def flow(steps: int = 1, seconds: float = 0):
    return sum([work(n, seconds) for n in range(steps)])
"""

HELD = """
import time
from perdure import step, step_context, workflow

@step
def before():
    return 1

@step
def held():
    if step_context().attempt == 1:
        time.sleep(3600)

@workflow
def flow():
    before()
    held()
"""

_LOOK = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Run:
    """A Workflow that was created; `since` is when, in seconds since the epoch."""

    ground: ClusterGround
    namespace: str
    name: str
    uid: str
    since: float

    @classmethod
    def start(cls, ground: ClusterGround, namespace: str, code: str, **spec: Any) -> Run:
        """Create one; it goes with its namespace, if not before."""
        name = f"run-{token_hex(4)}"
        since = time.time()
        made = workflows.create(ground.cluster, namespace, workflows.workflow(name, code, **spec))
        return cls(ground, namespace, name, str(made["metadata"]["uid"]), since)

    @classmethod
    @contextmanager
    def of(cls, ground: ClusterGround, namespace: str, code: str, **spec: Any) -> Iterator[Run]:
        """Create one, which is gone with its pods when the block has ended."""
        run = cls.start(ground, namespace, code, **spec)
        with run.gone_after():
            yield run

    @contextmanager
    def gone_after(self) -> Iterator[None]:
        """Have it be gone with its pods when the block has ended."""
        yield
        self.ground.cluster.api.delete(workflows.path(self.namespace, self.name))
        until_no_pods(self.ground, self.namespace)

    def times(self) -> dict[str, float]:
        """When the row of the run was there, when its newest attempt was claimed and had begun."""
        sql = """
            SELECT extract(epoch FROM r.created)::float8 AS inserted, extract(epoch FROM a.claimed)::float8 AS claimed,
                   extract(epoch FROM a.begun)::float8 AS begun
            FROM perdure.runs r JOIN perdure.attempts a ON a.run_id = r.id AND a.attempt = r.attempt WHERE r.id = %s
        """
        [row] = self.ground.installation.store.rows(sql, self.uid)
        return dict(row)

    def steps(self, attempt: int) -> list[tuple[float, float]]:
        """When each step of an attempt that has finished began, and when it was committed."""
        sql = """
            SELECT extract(epoch FROM started)::float8 AS began, extract(epoch FROM finished)::float8 AS committed
            FROM perdure.steps WHERE run_id = %s AND attempt = %s ORDER BY ordinal
        """
        return [(row["began"], row["committed"]) for row in self.ground.installation.store.rows(sql, self.uid, attempt)]

    def until_step(self, attempt: int, deadline: float = 60) -> tuple[float, float]:
        """Wait until the first step of an attempt has finished: when it began, and when it was committed."""
        return eventually(lambda: self.steps(attempt)[:1], deadline, every=_LOOK)[0]

    def until_succeeded(self, deadline: float = 60) -> Json:
        """Wait until its Workflow has succeeded; its status."""

        def succeeded() -> Json | None:
            body = workflows.get(self.ground.cluster, self.namespace, self.name)
            assert workflows.condition(body, "Succeeded").get("status") != "False", body
            return body["status"] if workflows.condition(body, "Finished").get("status") == "True" else None

        status = eventually(succeeded, deadline, every=_LOOK)
        assert status is not None
        return status

    def pod(self) -> Json:
        """The pod of its newest attempt."""
        return workflows.pods(self.ground.cluster, self.namespace, self.name)[-1]
