"""Workers that start at the same instant share the work: no run twice, no step twice."""

from __future__ import annotations

import signal

from tests.integration.worker.fleet import Fleet


def test_two_workers_and_200_runs(fleet: Fleet) -> None:
    for n in range(100):
        fleet.client.start("flows:count", id=f"sync-{n}", input={"steps": 3})
        fleet.client.start("flows:async_count", id=f"async-{n}", input={"steps": 3, "pause": 0.05})
    workers = [fleet.worker(concurrency=20, threads=10), fleet.worker(concurrency=20, threads=10)]
    fleet.wait_until_all("succeeded")
    assert fleet.attempts() == [(1, "completed")] * 200
    ticks = fleet.events("tick")
    assert len(ticks) == len({(tick["run"], tick["key"]) for tick in ticks}) == 600
    assert {tick["pid"] for tick in ticks} == {worker.pid for worker in workers}, "both worked"
    assert fleet.database.query("SELECT count(*), count(DISTINCT (run_id, step_key)) FROM perdure.steps") == [
        (600, 600)
    ]
    for worker in workers:
        worker.signal(signal.SIGTERM)
    assert [worker.wait() for worker in workers] == [0, 0]
