"""`perdure worker`: it claims runs of its queue until it is stopped, and says what it knows to run."""

from __future__ import annotations

import signal

from tests.harness.eventually import eventually
from tests.integration.cli.conftest import Cli


def test_a_worker_runs_what_is_in_its_queue_until_it_is_stopped(cli: Cli) -> None:
    worker = cli.start("worker", "flows.py", "--queue", "q")
    eventually(lambda: "working on queue 'q'" in worker.errors, 20)

    ran = cli.document("run", "flows.py:counting", "--queue", "q")
    worker.signal(signal.SIGTERM)

    assert ran["state"] == "succeeded"
    assert worker.wait(20) == 0
