"""The queue of Postgres's notifications is full: runs end all the same, and the operator says what is wrong."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from perdure.store.schema.migrate import migrate
from tests.harness.databases import Databases
from tests.harness.eventually import eventually
from tests.harness.postgres import Servers

from .operators import Operator
from .scene import Scene


def test_a_run_ends_while_nothing_can_be_notified(
    servers: Servers, scene: Scene, api_server: Any, namespace: str, children: Any
) -> None:
    database = Databases(servers.embedded(parameters={"max_notify_queue_pages": 64}), migrate).new()
    scene = Scene(api_server.api, namespace, children, database)
    with closing(database.connect()) as hostile:
        hostile.execute("LISTEN anything")
        hostile.execute("BEGIN")
        hostile.execute("SELECT 1")
        for _ in range(40):
            database.query("SELECT pg_notify('anything', repeat('.', 7900))")
        operator = Operator(children, api_server.kubeconfig, database.url, namespace, {})
        scene.apply()
        assert scene.play_to_the_end(scene.until_pod()) == 0
        scene.until_phase("Succeeded")
        eventually(lambda: operator.metric("notify_queue_usage") > 0.5, deadline=20)
        assert "a session listens and holds a transaction open" in operator.get("/readyz")[1]
    operator.check()
