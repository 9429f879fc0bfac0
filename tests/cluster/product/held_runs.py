"""Runs whose steps note that they ran, and one of which is held until a test lets it go on.

What is noted goes to a table of the tests' own, by a connection that the store knows nothing of: it stays whatever
becomes of the attempt, and so shows what ran again. A held step is let go for all attempts at once; one that cannot
ask the database also goes on once its container has the file /tmp/go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import DictRow

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.harness.eventually import eventually

from . import workflows
from .installation import Installation
from .postgres import POD_SECRET

__all__ = ["HELD", "HeldRun", "HeldRuns"]

HELD = 2
"""The step that is held, counted from 0."""
_STEPS = 4
_FRESH = 0.25  # seconds for which what was read of the notes serves all who ask

_CODE = """
import os
import time
from pathlib import Path
from uuid import uuid4

import psycopg
from perdure import step, step_context, workflow

connection = None


def ask(statement, *parameters):
    # None while the database is away.
    global connection
    try:
        if connection is None:
            url = os.environ["NOTED_URL"]
            connection = psycopg.connect(url, autocommit=True, connect_timeout=2, tcp_user_timeout=1000)
        return connection.execute(statement, parameters).fetchall()
    except psycopg.OperationalError:
        connection = None
        return None


def may_go(n):
    if Path("/tmp/go").exists():
        return True
    return ask("SELECT 1 FROM noted.released WHERE run = %s AND step = %s", step_context().run_id, n)


@step
def work(n, held, greedy):
    context = step_context()
    noted = (uuid4(), context.run_id, n, context.attempt)
    statement = (
        "INSERT INTO noted.starts (execution, run, step, attempt) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING 1"
    )
    while ask(statement, *noted) is None:
        time.sleep(0.1)
    memory = []
    while held and greedy and context.attempt == 1:
        memory.append(b"x" * 2**20)
    while held and not may_go(n):
        time.sleep(0.05)
    return n * n


@workflow
def flow(steps, held, greedy=False):
    return sum([work(n, n in held, greedy) for n in range(steps)])
"""

_TABLES: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS noted",
    "GRANT USAGE ON SCHEMA noted TO perdure_pods",
    """
    CREATE TABLE IF NOT EXISTS noted.starts (
        execution uuid PRIMARY KEY, run uuid, step integer, attempt integer, at timestamptz DEFAULT clock_timestamp()
    )
    """,
    "CREATE TABLE IF NOT EXISTS noted.released (run uuid, step integer)",
    "GRANT ALL ON noted.starts, noted.released TO perdure_pods",
)


class HeldRuns:
    """Runs in a namespace of their own; may be asked by many threads."""

    def __init__(self, installation: Installation, namespace: str) -> None:
        self.installation = installation
        self.namespace = namespace
        self._lock = threading.Lock()
        self._read = 0.0
        self._noted: list[DictRow] = []

    @classmethod
    @contextmanager
    def on(cls, installation: Installation) -> Iterator[HeldRuns]:
        """Runs on an installation; they go with the block."""
        for statement in _TABLES:
            installation.store.rows(statement)
        with installation.workspace() as namespace:
            yield cls(installation, namespace)

    @property
    def cluster(self) -> Cluster:
        return self.installation.cluster

    def start(self, name: str, held: Sequence[int] = (HELD,), *, greedy: bool = False, **spec: Any) -> HeldRun:
        """Create a Workflow of four steps, some of which are held; a `greedy` one fills its memory at its first try.

        `spec` is laid over its spec.
        """
        given = {"steps": _STEPS, "held": list(held), "greedy": greedy}
        body = workflows.workflow(name, _CODE, input=given, backoffLimit=2, **spec)
        made = workflows.create(self.cluster, self.namespace, workflows.with_url(body, "NOTED_URL", POD_SECRET))
        return HeldRun(self, name, str(made["metadata"]["uid"]))

    def noted(self, run: str, *, fresh: bool = True) -> list[DictRow]:
        """What the steps of a run have noted, in order of time; not `fresh`: as it was a moment ago."""
        with self._lock:
            if fresh or time.monotonic() - self._read > _FRESH:
                self._noted = self.installation.store.rows("SELECT * FROM noted.starts ORDER BY at")
                self._read = time.monotonic()
            return [row for row in self._noted if str(row["run"]) == run]


@dataclass(frozen=True, slots=True)
class HeldRun:
    """One of them."""

    runs: HeldRuns
    name: str
    uid: str

    @property
    def row(self) -> DictRow:
        """Its row in the store."""
        row = self.runs.installation.store.run(self.uid)
        assert row is not None
        return row

    @property
    def endings(self) -> list[str | None]:
        """How its attempts ended, in order."""
        return [attempt["ending"] for attempt in self.runs.installation.store.attempts(self.uid)]

    @property
    def went(self) -> dict[int, list[int]]:
        """Which steps began in each attempt, in order."""
        went: dict[int, list[int]] = {}
        for row in self.runs.noted(self.uid):
            went.setdefault(row["attempt"], []).append(row["step"])
        return went

    @property
    def kept(self) -> list[int]:
        """The attempt of each checkpoint, in order."""
        return [step["attempt"] for step in self.runs.installation.store.steps(self.uid)]

    def workflow(self) -> Json:
        """Its Workflow as it is now."""
        return workflows.get(self.runs.cluster, self.runs.namespace, self.name)

    def pod(self, attempt: int = 1, deadline: float = 60) -> Json:
        """Wait until the pod of an attempt is there."""
        return workflows.until_pod(self.runs.cluster, self.runs.namespace, self.name, attempt, deadline, every=0.5)

    def running_pod(self, attempt: int = 1, deadline: float = 60) -> Json:
        """Wait until the kubelet has told of the container of an attempt's pod, which a fault may strike then."""

        def told() -> Json:
            pod = self.pod(attempt)
            assert "running" in pods.status(pod, "workflow")["state"], pod["status"]
            return pod

        return eventually(told, deadline, every=0.2)

    def until_step(self, step: int = HELD, attempt: int = 1, deadline: float = 60) -> float:
        """Wait until a step has begun in an attempt; when that was, in seconds since the epoch."""

        def begun() -> float:
            noted = self.runs.noted(self.uid, fresh=False)
            found = [row for row in noted if (row["step"], row["attempt"]) == (step, attempt)]
            assert found, (self.name, self.went, self.endings, self.workflow().get("status"))
            return float(found[0]["at"].timestamp())

        return eventually(begun, deadline, every=0.5)

    def until_ending(self, attempt: int = 1, deadline: float = 30) -> str:
        """Wait until an attempt has ended; how."""

        def ended() -> str:
            endings = self.endings[attempt - 1 :]
            assert endings, self.row
            assert endings[0] is not None, self.row
            return endings[0]

        return eventually(ended, deadline, every=0.5)

    def until_reason(self, reason: str, deadline: float = 60) -> Json:
        """Wait until its status gives a reason for where it stands; its Workflow."""
        return workflows.until_reason(self.runs.cluster, self.runs.namespace, self.name, reason, deadline, every=0.5)

    def release(self, step: int = HELD) -> None:
        """Let a held step go on, in whichever attempt."""
        self.runs.installation.store.rows("INSERT INTO noted.released VALUES (%s, %s)", self.uid, step)

    def until_succeeded(
        self, went: Mapping[int, Sequence[int]], endings: Sequence[str | None], deadline: float = 60
    ) -> None:
        """Wait until it has succeeded, and compare how: which steps began in each attempt, and the attempts' endings.

        So none began twice but those that are said to, and each checkpoint is of the last attempt in which its step
        began.
        """

        def finished() -> Json:
            body = self.workflow()
            assert workflows.condition(body, "Finished").get("status") == "True", (self.went, body.get("status"))
            return body

        body = eventually(finished, deadline, every=0.5)
        store = self.runs.installation.store
        assert self.went == {attempt: list(steps) for attempt, steps in went.items()}, self.went
        assert self.endings == [*endings, "completed"], store.attempts(self.uid)
        last = {step: attempt for attempt, steps in sorted(went.items()) for step in steps}
        assert self.kept == [last[step] for step in range(_STEPS)], store.steps(self.uid)
        assert (self.row["state"], self.row["claim"]) == ("succeeded", None), self.row
        status = body["status"]
        assert workflows.condition(body, "Succeeded")["status"] == "True", status
        assert status["result"] == sum(n * n for n in range(_STEPS))
        assert (status["attempts"], status["steps"]["completed"]) == (len(endings) + 1, _STEPS)
