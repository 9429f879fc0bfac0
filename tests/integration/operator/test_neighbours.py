"""Several operators on one store: each has the runs of its cluster and its namespaces, and lets the others' be."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.harness.eventually import eventually

from .operators import Operator
from .scene import Scene
from .test_a_run import SLOW, times


@pytest.fixture
def folder(tmp_path: Any) -> Any:
    tmp_path.chmod(0o777)
    return tmp_path


def state(database: Any, uid: str) -> tuple[str, bool]:
    [(state, cancel)] = database.query("SELECT state, cancel FROM perdure.runs WHERE id = %s", uid)
    return state, cancel


@pytest.mark.slow
def test_a_second_cluster_on_the_same_store(
    api_server: Any, own_api_server: Any, database: Any, children: Any, namespace: str, folder: Any
) -> None:
    """With a Workflow of the same name, in a namespace of the same name."""
    own_api_server.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    scenes, operators, uids, processes = [], [], [], []
    for number, server in enumerate((api_server, own_api_server)):
        place = folder / str(number)
        place.mkdir(mode=0o777)
        place.chmod(0o777)
        scene = Scene(server.api, namespace, children, database)
        operators.append(Operator(children, server.kubeconfig, database.url, namespace, {"resync_seconds": "1"}))
        uids.append(scene.apply(code=SLOW, input={"folder": str(place)}))
        pod = scene.until_pod(deadline=40)
        processes.append((pod, scene.play(pod)))
        scenes.append(scene)
    for operator in operators:
        operator.until_compared(2)
    assert [state(database, uid) for uid in uids] == [("running", False)] * 2
    owners = database.query("SELECT DISTINCT owner FROM perdure.runs")
    assert len(owners) == 2

    scenes[1].delete()
    eventually(lambda: state(database, uids[1])[1], deadline=20)
    operators[0].until_compared(2)
    assert state(database, uids[0]) == ("running", False)
    (folder / "0" / "go").touch()
    pod, process = processes[0]
    scenes[0].tell_end(pod, process.wait(20))
    assert scenes[0].until_phase("Succeeded")["attempts"] == 1
    assert scenes[0].attempts(uids[0]) == [(1, "completed")]
    for operator in operators:
        operator.check()


@pytest.mark.slow
def test_an_operator_that_is_narrowed_to_one_namespace(
    api_server: Any, database: Any, children: Any, namespace: str, scene: Scene, folder: Any
) -> None:
    left = f"{namespace}-left"
    api_server.api.create("/api/v1/namespaces", {"metadata": {"name": left}})
    options = {"resync_seconds": "1", "leader_election_namespace": namespace}

    def operator(*namespaces: str) -> Operator:
        return Operator(
            children, api_server.kubeconfig, database.url, namespace, {**options, "namespaces": ",".join(namespaces)}
        )

    wide = operator(namespace, left)
    other = Scene(api_server.api, left, children, database)
    uid = other.apply(code=SLOW, input={"folder": str(folder)})
    pod = other.until_pod()
    process = other.play(pod)
    eventually(lambda: times(folder, "second") == 1, deadline=20)
    other.until_phase("Running")
    wide.stop()

    narrow = operator(namespace)
    scene.apply()
    assert scene.play_to_the_end(scene.until_pod()) == 0
    scene.until_phase("Succeeded")
    narrow.until_compared(2)
    assert state(database, uid) == ("running", False)
    (folder / "go").touch()
    code = process.wait(20)
    other.tell_end(pod, code)
    assert code == 0
    narrow.until_compared(2)
    assert other.phase() == "Running"  # of which it says nothing
    narrow.stop()

    again = operator(namespace, left)
    assert other.until_phase("Succeeded", deadline=30)["attempts"] == 1
    assert other.attempts(uid) == [(1, "completed")]
    for one in (wide, narrow, again):
        one.check()


def test_runs_of_the_library_on_the_same_store(
    start_operator: Any, scene: Scene, database: Any, children: Any, folder: Any
) -> None:
    (folder / "slow.py").write_text(SLOW)
    given = json.dumps({"folder": str(folder)})
    command = [sys.executable, "-P", "-m", "perdure.cli", "run", "slow.py:main", "--input", given]
    process = children.start(command, cwd=folder, env={"PERDURE_DATABASE_URL": database.url})
    eventually(lambda: times(folder, "second") == 1, deadline=20)
    [(uid,)] = database.query("SELECT id::text FROM perdure.runs")

    operator = start_operator(resync_seconds="1")
    scene.apply()
    assert scene.play_to_the_end(scene.until_pod()) == 0
    scene.until_phase("Succeeded")
    operator.until_compared(2)
    assert state(database, uid) == ("running", False)
    (folder / "go").touch()
    assert process.wait(20) == 0
    assert scene.attempts(uid) == [(1, "completed")]
    assert len(scene.pods()) == 1
