"""How many connections to the store a pod holds: Postgres has few, and a cluster many pods."""

from __future__ import annotations

import pytest

from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.integration.pod.attempts import Attempts

SUPERVISOR = 1
BEATS = {"PERDURE_LEASE_SECONDS": "0.4"}


def held(database: Database) -> int:
    """Connections of the pod: all but the test's own."""
    [(count,)] = database.query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'perdure%'"
    )
    return int(count)


@pytest.mark.parametrize(
    ("workflow", "most"),
    [
        pytest.param("held", 1, id="one step after the other"),
        pytest.param("async_held", 1, id="the same in an event loop"),
        pytest.param("in_threads", 1, id="steps in threads"),
        pytest.param("in_tasks", 2, id="steps in tasks, whose outcomes come together"),
        pytest.param("booking", 2, id="database steps between others"),
    ],
)
def test_a_pod_holds_no_more_than_the_documents_say(
    attempts: Attempts, database: Database, workflow: str, most: int
) -> None:
    attempt = attempts.claim(workflow)
    process = attempts.exec(attempt, **BEATS)
    attempts.wait_for("hold 1")
    beats = "SELECT counter FROM perdure.processes"
    eventually(lambda: [counter for (counter,) in database.query(beats) if counter > 1], 15)
    assert held(database) <= SUPERVISOR + most
    seen = 0
    for name in ("go", "go1", "go2"):
        attempts.let_go(name)
    while process.running():
        seen = max(seen, held(database))
    assert process.wait(20) == 0, process
    assert seen <= SUPERVISOR + most
    eventually(lambda: held(database) == 0, 10)
