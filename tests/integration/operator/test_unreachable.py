"""Pods that do not reach the store, while the operator does: no run fails for it, and the status says why it waits."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.harness.eventually import eventually
from tests.harness.processes import signal_all

from .scene import Scene
from .test_a_run import SLOW

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


NAMES = ("a", "b", "c", "d")


def reasons(scene: Scene) -> dict[str, str]:
    return {name: (scene.condition("Finished", name) or {}).get("reason", "") for name in NAMES}


def endings(scene: Scene, uids: dict[str, str]) -> list[str]:
    """How attempts have ended, of all runs."""
    return [ending for uid in uids.values() for _, ending in scene.attempts(uid) if ending is not None]


def started(scene: Scene, folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The UIDs of runs that are in the midst of a step, and their processes."""
    folder.chmod(0o777)
    uids, processes = {}, {}
    for name in NAMES:
        uids[name] = scene.apply(name, code=SLOW, input={"folder": str(folder)})
        pod = scene.until_pod(of=name)
        scene.bind(pod, f"node-{NAMES.index(name) % 2}")
        processes[name] = scene.play(pod)
    eventually(lambda: (folder / "second").exists() and (folder / "second").read_text() == "xxxx", deadline=30)
    eventually(lambda: set(reasons(scene).values()) == {"Running"}, deadline=20)
    return uids, processes


def test_attempts_whose_hearts_are_cut_off_at_once_are_left_alone_but_for_one_and_go_on(
    start_operator: Any, scene: Scene, proxy: Any, database: Any, tmp_path: Path
) -> None:
    # A turn is five leases: all of this is over in one, or on a busy machine in two.
    operator = start_operator(pod_database_url=proxy.url(database.name), lease_seconds="4")
    uids, processes = started(scene, tmp_path)
    proxy.refuse()
    proxy.cut()
    eventually(lambda: operator.metric("store_suspected") == 1, deadline=20)
    eventually(lambda: list(reasons(scene).values()).count("StoreSuspected") >= 2, deadline=10)
    assert operator.metric("silent_attempts") >= 2
    assert "4 of 4 attempts fell silent at once" in operator.get("/readyz")[1]
    assert any("4 of 4 attempts fell silent" in line["message"] for line in operator.log)
    told = next(name for name, reason in reasons(scene).items() if reason == "StoreSuspected")
    condition = scene.condition("Reconciling", told)
    assert condition is not None
    assert "started one at a time until one has begun" in condition["message"]
    assert "StoreSuspected" in scene.events(told)
    scene.apply("new")
    eventually(lambda: (scene.condition("Finished", "new") or {}).get("reason") == "StoreSuspected", deadline=10)
    eventually(lambda: "node lost" in endings(scene, uids), deadline=20)
    proxy.heal()
    eventually(lambda: operator.metric("store_suspected") == 0, deadline=20)
    lost = endings(scene, uids).count("node lost")
    assert 1 <= lost <= 2
    eventually(lambda: list(reasons(scene).values()).count("Running") == 4 - lost, deadline=20)
    (tmp_path / "go").touch()
    codes = sorted(process.wait(30) for process in processes.values())
    assert codes[: 4 - lost] == [0] * (4 - lost), "the others have not noticed anything"
    assert sorted(endings(scene, uids)) == ["completed"] * (4 - lost) + ["node lost"] * lost


def test_nodes_that_are_all_lost_cost_one_begin_more(start_operator: Any, scene: Scene, tmp_path: Path) -> None:
    operator = start_operator()
    uids, processes = started(scene, tmp_path)
    for process in processes.values():
        signal_all([process.pid, *process.descendants()], signal.SIGKILL)
    eventually(lambda: operator.metric("store_suspected") == 1, deadline=20)
    probe = eventually(lambda: next((pod for pod in scene.pods() if attempt(pod) == 2), None), deadline=10)
    assert endings(scene, uids) == ["node lost"]
    assert probe is not None
    scene.play(probe)
    eventually(lambda: operator.metric("store_suspected") == 0, deadline=20)
    eventually(lambda: endings(scene, uids) == ["node lost"] * 4, deadline=20)
    eventually(lambda: sum(attempt(pod) == 2 for pod in scene.pods()) == 4, deadline=20)


def attempt(pod: Any) -> int:
    return int(pod["metadata"]["labels"]["perdure.io/attempt"])
