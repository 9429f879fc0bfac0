"""A run's clock goes on while nobody runs: sleeps and timeouts of workflow code end when they would have ended."""

from __future__ import annotations

import json
import signal
import time
from uuid import UUID

import pytest

from tests.harness.databases import Databases
from tests.harness.eventually import eventually
from tests.harness.postgres import Servers
from tests.harness.processes import Child, Children, signal_all
from tests.harness.workspace import Workspace
from tests.integration.pod.attempts import Attempts
from tests.integration.store.rows import Attempt, Session

DAY = 86_400.0


def _seconds_of_clock(attempts: Attempts, run: UUID) -> float:
    """Since the run's first begin, by the store's clock."""
    [(seconds,)] = attempts.store.execute(
        "SELECT extract(epoch FROM clock_timestamp() - started)::double precision FROM perdure.runs WHERE id = %s", run
    )
    return float(seconds)


def _begun(attempts: Attempts, attempt: Attempt) -> Child:
    process = attempts.exec(attempt)
    eventually(lambda: attempts.store.run(attempt.run)["begun"], 20)
    return process


def _kill(process: Child) -> None:
    signal_all([process.pid, *process.descendants()], signal.SIGKILL)
    process.wait()


def _wait_until(attempts: Attempts, run: UUID, seconds: float) -> None:
    eventually(lambda: _seconds_of_clock(attempts, run) >= seconds, seconds + 10)


@pytest.mark.parametrize("workflow", ["naps", "async_naps"])
@pytest.mark.parametrize("resumed_after", [2.0, 5.0])
def test_a_sleep_that_a_crash_interrupts_ends_when_it_would_have_ended(
    attempts: Attempts, workflow: str, resumed_after: float
) -> None:
    attempt = attempts.claim(workflow, json.dumps({"seconds": 4.0}))
    process = _begun(attempts, attempt)
    _wait_until(attempts, attempt.run, 1.0)
    _kill(process)
    _wait_until(attempts, attempt.run, resumed_after)

    began = time.monotonic()
    assert attempts.exec(attempts.claim_again(attempt.run)).wait(30) == 0

    # One that is overdue goes on at once, another at its time: a whole sleep would have ended 4 s after the resumption.
    assert time.monotonic() - began < 3.7
    assert _seconds_of_clock(attempts, attempt.run) >= 4.0
    [(clock,)] = attempts.store.execute("SELECT clock FROM perdure.steps WHERE run_id = %s", attempt.run)
    assert max(4.0, resumed_after) <= clock / 1e6 < 7.5
    # What the workflow read before and after it is 4 s apart, whenever it went on.
    assert attempts.store.run(attempt.run)["result"] == ["4.0"]


def test_a_step_in_flight_does_not_begin_again_where_its_timeout_is_over(attempts: Attempts) -> None:
    attempt = attempts.claim("charged_in_time", json.dumps({"seconds": 2.0}))
    process = attempts.exec(attempt)
    attempts.wait_for("hold 1")
    _kill(process)
    _wait_until(attempts, attempt.run, 4.0)

    attempts.let_go()
    assert attempts.exec(attempts.claim_again(attempt.run)).wait(20) == 0

    assert attempts.store.run(attempt.run)["result"] == "timed out"
    assert attempts.log() == ["note before 1", "hold 1"]
    assert attempts.steps(attempt.run) == {"async_note": 1, "async_hold": 2}


def test_a_step_in_flight_begins_again_where_its_timeout_is_not_over(attempts: Attempts) -> None:
    attempt = attempts.claim("charged_in_time", json.dumps({"seconds": 60.0}))
    process = attempts.exec(attempt)
    attempts.wait_for("hold 1")
    _kill(process)

    attempts.let_go()
    assert attempts.exec(attempts.claim_again(attempt.run)).wait(20) == 0

    assert attempts.store.run(attempt.run)["result"] == "charged"
    assert attempts.log() == ["note before 1", "hold 1", "hold 2"]


def test_a_store_whose_clock_is_stepped_never_takes_time_back(
    servers: Servers, children: Children, workspace: Workspace
) -> None:
    """Set forward a day, the sleep is over; set back, what is recorded stands, and the clock goes on from there."""
    server = servers.embedded(clock=True)
    database = Databases(server, _migrate).new()
    with database.connect() as connection:
        attempts = Attempts(children, database, workspace, Session(connection))
        attempt = attempts.claim("naps", json.dumps({"seconds": DAY}))
        _kill(_begun(attempts, attempt))
        server.clock.set_offset(2 * DAY)
        assert attempts.exec(attempts.claim_again(attempt.run)).wait(30) == 0
        [(clock,)] = attempts.store.execute("SELECT clock FROM perdure.steps WHERE run_id = %s", attempt.run)
        assert clock / 1e6 >= 2 * DAY

        server.clock.set_offset(0)
        attempt = attempts.claim("charged_in_time", json.dumps({"seconds": 1000.0}))
        process = attempts.exec(attempt)
        attempts.wait_for("hold 1")
        _kill(process)
        readings = []
        for offset in (500.0, -DAY, DAY):
            server.clock.set_offset(offset)
            again = attempts.claim_again(attempt.run)
            _kill(_begun(attempts, again))
            [(reading,)] = attempts.store.execute("SELECT clock FROM perdure.runs WHERE id = %s", attempt.run)
            readings.append(reading / 1e6)
        attempts.let_go()
        assert attempts.exec(attempts.claim_again(attempt.run)).wait(20) == 0
        assert attempts.store.run(attempt.run)["result"] == "timed out"
    assert 500 <= readings[0] <= readings[1] < 600
    assert readings[2] > DAY


def _migrate(url: str) -> None:
    from perdure.store.schema.migrate import migrate

    migrate(url)
