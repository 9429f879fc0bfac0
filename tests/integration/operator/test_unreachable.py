"""Pods that do not reach the store, while the operator does: no run fails for it, and the status says why it waits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.eventually import eventually

from .scene import Scene

NOWHERE = "postgresql://perdure@127.0.0.1:1/perdure"


@pytest.mark.slow
def test_runs_wait_for_the_way_to_the_store_and_go_on(start_operator: Any, scene: Scene, database: Any) -> None:
    cut_off = start_operator(pod_database_url=NOWHERE)
    uid = scene.apply(backoffLimit=0)
    for attempt in (1, 2, 3):
        # As `perdure exec` leaves when it has waited for the store for long enough.
        scene.tell_end(scene.until_pod(attempt), 69)
        stalled = eventually(lambda: scene.condition("Stalled"), deadline=20)
        assert stalled is not None
        assert stalled["reason"] == "StoreUnreachable"
        assert "see to their Secret and NetworkPolicies" in stalled["message"]
    assert any("StoreUnreachable" in event for event in scene.events())
    assert database.query("SELECT state, crashes, disruptions FROM perdure.runs") == [("pending", 0, 0)]
    cut_off.stop()
    start_operator()
    database.query("UPDATE perdure.runs SET available = now(), delay = 0")
    pod = scene.until_pod(4, deadline=30)
    assert scene.play_to_the_end(pod) == 0
    scene.until_phase("Succeeded")
    assert scene.attempts(uid) == [*((n, "store unreachable") for n in (1, 2, 3)), (4, "completed")]
