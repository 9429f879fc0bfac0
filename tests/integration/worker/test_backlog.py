"""A run that was released goes on before those that came later."""

from __future__ import annotations

from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet


def test_released_run_ends_before_the_backlog(fleet: Fleet) -> None:
    first = fleet.worker(concurrency=1)
    fleet.client.start("flows:async_gated", id="interrupted", input={"gate": "gate"})
    fleet.wait_for("at the gate")
    later = [fleet.client.start("flows:async_count", id=f"later-{n}", input={"steps": 1}) for n in range(100)]
    fleet.open("gate")
    first.kill()
    eventually(lambda: fleet.states() == {"pending": 101})
    fleet.worker(concurrency=1)
    for run in later:
        run.result(timeout=30)
    [(name,)] = fleet.database.query("SELECT name FROM perdure.runs ORDER BY finished LIMIT 1")
    assert name == "interrupted"
