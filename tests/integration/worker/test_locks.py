"""A row that somebody has locked holds up no other run, and its own no longer than the lease."""

from __future__ import annotations

import psycopg
import pytest

from tests.harness.eventually import eventually
from tests.integration.worker.fleet import LEASE, Fleet


def test_runs_of_a_dead_worker_whose_rows_are_locked(fleet: Fleet) -> None:
    first = fleet.worker()
    runs = [fleet.client.start("flows:gated", id=f"run-{n}", input={"gate": "gate"}) for n in range(3)]
    fleet.wait_for("at the gate", 3)
    second = fleet.worker()
    with fleet.database.connect() as holder:
        # As a process that was paused in a database step does.
        holder.execute("BEGIN")
        holder.execute("SELECT FROM perdure.runs WHERE name = 'run-1' FOR SHARE")
        first.kill_group()
        fleet.wait_for("at the gate", 5, deadline=LEASE)
        assert {event["run"] for event in fleet.events("at the gate")[3:]} == {"run-0", "run-2"}
        fleet.wait_for("at the gate", 6, deadline=2 * LEASE + 2)
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    assert "ending that backend" in second.errors
    fleet.open("gate")
    assert [run.result(timeout=10) for run in runs] == [3, 3, 3]


def test_end_of_a_run_whose_row_is_locked(fleet: Fleet) -> None:
    fleet.worker()
    locked = fleet.client.start("flows:async_gated", id="locked", input={"gate": "gate"})
    others = [fleet.client.start("flows:async_gated", id=f"run-{n}", input={"gate": "gate"}) for n in range(5)]
    fleet.wait_for("at the gate", 6)
    with fleet.database.connect() as holder, holder.transaction():
        # Checkpoints pass this lock, an ending does not.
        holder.execute("SELECT FROM perdure.runs WHERE name = 'locked' FOR SHARE")
        fleet.open("gate")
        assert [run.result(timeout=LEASE) for run in others] == [3] * 5
        assert fleet.states() == {"succeeded": 5, "running": 1}
    assert locked.result(timeout=5) == 3


def test_step_of_a_run_whose_row_is_locked(fleet: Fleet) -> None:
    fleet.worker()
    locked = fleet.client.start("flows:async_gated", id="locked", input={"gate": "gate"})
    others = [fleet.client.start("flows:async_gated", id=f"run-{n}", input={"gate": "gate"}) for n in range(5)]
    fleet.wait_for("at the gate", 6)
    with fleet.database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM perdure.runs WHERE name = 'locked' FOR UPDATE")
        fleet.open("gate")
        assert [run.result(timeout=10) for run in others] == [3] * 5
    assert locked.result(timeout=10) == 3
    eventually(lambda: fleet.states() == {"succeeded": 6})
