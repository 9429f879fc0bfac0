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
    listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    eventually(lambda: fleet.database.query(listening)[0][0] >= 2)
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


MANY = 40


def _at_the_gate(fleet: Fleet, workflow: str, names: list[str]) -> None:
    before = len(fleet.events("at the gate"))
    for name in names:
        fleet.client.start(workflow, id=name, input={"gate": "gate"})
    fleet.wait_for("at the gate", before + len(names))


def test_many_locked_rows_hold_up_no_takeover(fleet: Fleet) -> None:
    """With a lease of a minute nobody ends their holder meanwhile."""
    dead = []
    for queue, names in (("a", [f"locked-{n}" for n in range(MANY)] + ["a-free"]), ("b", ["b-free"])):
        dead.append(fleet.worker(lease=60, queue=queue))
        for name in names:
            fleet.client.start("flows:async_gated", id=name, input={"gate": "gate"}, queue=queue)
    fleet.wait_for("at the gate", MANY + 2)
    with fleet.database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM perdure.runs WHERE name LIKE 'locked-%' FOR UPDATE")
        fleet.database.query("UPDATE perdure.runs SET owner = 'queue:both' WHERE name LIKE '%-free'")
        fleet.database.query("UPDATE perdure.processes SET owner = 'queue:both'")
        for worker in dead:
            worker.kill_group()
        fleet.worker(lease=60, queue="both")
        fleet.worker(lease=60, queue="a")
        again = fleet.wait_for("at the gate", MANY + 4, deadline=15)[MANY + 2 :]
        assert {event["run"] for event in again} == {"a-free", "b-free"}
        assert holder.execute("SELECT 1").fetchone() == (1,), "nobody ended it"
    # They follow as soon as they are free.
    fleet.wait_for("at the gate", 2 * (MANY + 2), deadline=15)


@pytest.mark.parametrize("workflow", ["flows:async_gated", "flows:gated"])
@pytest.mark.parametrize("lock", ["SHARE", "UPDATE"])
def test_many_locked_rows_hold_up_no_other_run(fleet: Fleet, workflow: str, lock: str) -> None:
    """Neither its checkpoints (which wait for FOR UPDATE) nor its ending (which waits for both)."""
    fleet.worker(lease=60, threads=2 * MANY)
    _at_the_gate(fleet, workflow, [f"locked-{n}" for n in range(MANY)])
    with fleet.database.connect() as holder, holder.transaction():
        holder.execute(f"SELECT FROM perdure.runs WHERE name LIKE 'locked-%' FOR {lock}")
        fleet.open("gate")
        # The others come when all those wait for their rows.
        fleet.wait_for("tick" if lock == "UPDATE" else "through the gate", MANY)
        for n in range(5):
            other = fleet.client.start(workflow.replace("gated", "count"), id=f"other-{n}", input={"steps": 20})
            assert other.result(timeout=5) == 190
        assert fleet.states() == {"running": MANY, "succeeded": 5}
        ours = "datname = current_database() AND application_name LIKE 'perdure%'"
        [(connections,)] = fleet.database.query(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}")
        assert connections <= 12, "each that waits takes none of its own"
    eventually(lambda: fleet.states() == {"succeeded": MANY + 5}, deadline=15)


def test_holders_of_many_rows_are_ended_after_a_lease(fleet: Fleet) -> None:
    first = fleet.worker()
    _at_the_gate(fleet, "flows:async_gated", [f"run-{n}" for n in range(20)])
    holders = [fleet.database.connect() for _ in range(10)]
    for n, holder in enumerate(holders):
        holder.execute("BEGIN")
        holder.execute(f"SELECT FROM perdure.runs WHERE name IN ('run-{2 * n}', 'run-{2 * n + 1}') FOR SHARE")
    fleet.worker()
    first.kill_group()
    fleet.wait_for("at the gate", 40, deadline=3 * LEASE + 3)
    for holder in holders:
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
        holder.close()


def test_locked_row_of_a_worker_holds_up_none_of_its_runs(fleet: Fleet) -> None:
    """No run can be claimed meanwhile; those that were are told what is asked of them, and end."""
    fleet.worker(lease=60)
    _at_the_gate(fleet, "flows:async_gated", ["one", "two"])
    with fleet.database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM perdure.processes FOR UPDATE")
        later = fleet.client.start("flows:async_count", id="later", input={"steps": 1})
        eventually(lambda: fleet.database.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        fleet.client.cancel("one")
        eventually(lambda: fleet.states() == {"running": 1, "pending": 1, "cancelled": 1}, deadline=15)
        fleet.open("gate")
        eventually(lambda: fleet.states() == {"succeeded": 1, "pending": 1, "cancelled": 1}, deadline=15)
    assert later.result(timeout=10) == 0
