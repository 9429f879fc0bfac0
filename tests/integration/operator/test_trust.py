"""A store that is not what a Workflow's status rests on starts nothing: emptied, another one, or an older backup."""

from __future__ import annotations

import signal
import time

import pytest

from perdure.store.runs.restored import mark_restored
from tests.harness.databases import Databases
from tests.harness.eventually import eventually
from tests.harness.processes import signal_all

from .operators import Operator
from .test_a_run import SLOW, times

TABLES = ("runs", "steps", "attempts", "processes")


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o777)
    return tmp_path


def begin(scene, folder, name="one"):
    """A run whose first step has finished, and whose second one waits; its UID, its pod and its process."""
    uid = scene.apply(name, code=SLOW, input={"folder": str(folder)})
    pod = scene.until_pod(of=name)
    process = scene.play(pod)
    eventually(lambda: times(folder, "second") == 1, deadline=20)
    scene.until_phase("Running", name)
    return uid, pod, process


def kill(scene, pod, process):
    """End an attempt's process as a crash does, and wait until the pod says so."""
    signal_all(process.descendants(), signal.SIGKILL)
    scene.tell_end(pod, process.wait(20))


def empty(database):
    for table in TABLES:
        database.query(f"DELETE FROM perdure.{table}")


def back_up(database):
    database.query("CREATE SCHEMA backup")
    for table in TABLES:
        database.query(f"CREATE TABLE backup.{table} AS TABLE perdure.{table}")


def restore(database):
    empty(database)
    for table in TABLES:
        database.query(f"INSERT INTO perdure.{table} SELECT * FROM backup.{table}")


def until_missing(scene, name="one"):
    """Wait until the status says that nothing is started; why not."""

    def told():
        stalled = scene.condition("Stalled", name)
        assert stalled is not None, scene.status(name)
        assert (stalled["status"], stalled["reason"]) == ("True", "CheckpointsMissing")
        return stalled["message"]

    return eventually(told, deadline=30, every=0.1)


def restart(scene, value, name="one"):
    body = {"metadata": {"annotations": {"perdure.io/restart": value}}}
    scene.api.patch(scene._path("workflows", name), body)


def nothing_begins(scene, pods, seconds=3.0):
    """Watch for a while that there are no other pods."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert [pod["metadata"]["name"] for pod in scene.pods()] == [pod["metadata"]["name"] for pod in pods]
        time.sleep(0.1)


def test_an_emptied_database_starts_nothing_until_a_person_says_so(scene, start_operator, folder):
    operator = start_operator()
    uid, pod, process = begin(scene, folder)
    empty(scene.database)
    kill(scene, pod, process)
    said = until_missing(scene)
    assert "is missing from the store" in said
    assert "perdure.io/restart" in said
    operator.stop()
    start_operator()  # which knows nothing but what it finds
    nothing_begins(scene, [pod])
    assert scene.attempts(uid) == []
    assert scene.status()["steps"]["completed"] <= 1
    assert times(folder, "first") == 1

    (folder / "go").touch()
    restart(scene, "1")
    again = eventually(lambda: next((p for p in scene.pods() if claim(p) != claim(pod)), None), deadline=20)
    assert scene.play_to_the_end(again) == 0
    assert scene.until_phase("Succeeded")["result"] == ["first", "second"]
    assert (times(folder, "first"), times(folder, "second")) == (2, 2)  # as the person asked for


def test_each_value_of_the_annotation_counts_once(scene, start_operator, folder):
    start_operator()
    _, pod, process = begin(scene, folder)
    empty(scene.database)
    kill(scene, pod, process)
    until_missing(scene)
    restart(scene, "1")
    again = eventually(lambda: next((p for p in scene.pods() if claim(p) != claim(pod)), None), deadline=20)
    process = scene.play(again)
    eventually(lambda: times(folder, "second") == 2, deadline=20)
    eventually(lambda: scene.phase() == "Running", deadline=20)
    empty(scene.database)
    kill(scene, again, process)
    until_missing(scene)
    nothing_begins(scene, scene.pods())


def test_a_finished_workflow_stays_finished_whatever_the_store_says(scene, start_operator):
    operator = start_operator()
    scene.apply()
    assert scene.play_to_the_end(scene.until_pod()) == 0
    status = scene.until_phase("Succeeded")
    operator.stop()
    empty(scene.database)
    start_operator().until_leading()
    restart(scene, "1")
    nothing_begins(scene, scene.pods())
    assert scene.database.query("SELECT count(*) FROM perdure.runs") == [(0,)]
    assert scene.status()["completionTime"] == status["completionTime"]
    assert scene.status()["result"] == "hello you"


def test_the_run_of_a_workflow_that_has_finished_does_not_go_on_in_an_older_store(scene, start_operator, folder):
    operator = start_operator()
    uid, pod, process = begin(scene, folder)
    back_up(scene.database)
    (folder / "go").touch()
    scene.tell_end(pod, process.wait(20))
    scene.until_phase("Succeeded")
    operator.stop()
    restore(scene.database)
    start_operator()
    state = "SELECT state, claim IS NULL FROM perdure.runs WHERE id = %s"
    eventually(lambda: scene.database.query(state, uid) == [("cancelled", True)], deadline=20)
    nothing_begins(scene, [pod])
    assert scene.status()["result"] == ["first", "second"]
    assert times(folder, "second") == 1


def test_an_operator_with_another_store_starts_nothing(
    scene, start_operator, folder, databases: Databases, children, api_server, namespace
):
    operator = start_operator()
    uid, pod, process = begin(scene, folder)
    right = scene.status()["storeId"]
    operator.stop()

    other = databases.new()
    [(wrong,)] = other.query("SELECT store_id::text FROM perdure.meta")
    astray = Operator(children, api_server.kubeconfig, other.url, namespace, {})
    said = until_missing(scene)
    assert right in said
    assert wrong in said
    nothing_begins(scene, [pod])
    assert scene.status()["storeId"] == right
    assert other.query("SELECT count(*) FROM perdure.runs") == [(0,)]
    assert process.running()  # its run goes on in the store that it has
    astray.stop()
    astray.check()

    start_operator()
    scene.until_phase("Running")
    (folder / "go").touch()
    scene.tell_end(pod, process.wait(20))
    assert scene.until_phase("Succeeded")["attempts"] == 1
    assert scene.attempts(uid) == [(1, "completed")]
    databases.drop(other)


def test_a_person_may_start_a_run_anew_in_another_store(
    scene, start_operator, databases: Databases, children, api_server, namespace, folder
):
    operator = start_operator()
    uid, pod, process = begin(scene, folder)
    kill(scene, pod, process)
    operator.stop()

    other = databases.new()
    [(new,)] = other.query("SELECT store_id::text FROM perdure.meta")
    moved = Operator(children, api_server.kubeconfig, other.url, namespace, {})
    until_missing(scene)
    (folder / "go").touch()
    restart(scene, "moved")
    again = eventually(lambda: next((p for p in scene.pods() if url(p) == other.url), None), deadline=20)
    assert scene.play_to_the_end(again) == 0
    assert scene.until_phase("Succeeded")["storeId"] == new
    assert other.query("SELECT state FROM perdure.runs WHERE id = %s", uid) == [("succeeded",)]
    moved.stop()
    moved.check()
    databases.drop(other)


def test_a_backup_from_before_the_last_attempt_starts_nothing_until_a_person_says_so(scene, start_operator, folder):
    operator = start_operator()
    uid, pod, process = begin(scene, folder)
    back_up(scene.database)
    kill(scene, pod, process)
    second = scene.until_pod(2)
    process = scene.play(second)
    eventually(lambda: times(folder, "second") == 2, deadline=20)
    eventually(lambda: scene.status()["attempts"] == 2, deadline=20)
    operator.stop()
    restore(scene.database)
    start_operator()
    said = until_missing(scene)
    assert "it has 1 attempts, and there were 2" in said
    scene.tell_end(second, process.wait(30))  # its claim is unknown now
    nothing_begins(scene, [pod, second])
    assert times(folder, "second") == 2

    (folder / "go").touch()
    restart(scene, "1")
    known = {claim(pod), claim(second)}
    again = eventually(lambda: next((p for p in scene.pods() if claim(p) not in known), None), deadline=30)
    assert scene.play_to_the_end(again) == 0
    scene.until_phase("Succeeded")
    assert times(folder, "first") == 1  # the backup has it
    assert scene.attempts(uid)[-1][1] == "completed"


def test_a_backup_from_before_the_last_step_starts_nothing(scene, start_operator, folder):
    """Nobody holds the run, and there are fewer checkpoints than there were."""
    operator = start_operator()
    uid, pod, process = begin(scene, folder)
    kill(scene, pod, process)
    second = scene.until_pod(2)
    scene.change(suspend=True)
    scene.until_phase("Suspended")
    eventually(lambda: scene.status()["steps"]["completed"] == 1, deadline=40)
    operator.stop()
    scene.database.query("DELETE FROM perdure.steps WHERE run_id = %s", uid)
    start_operator()
    scene.change(suspend=False)
    assert "it has 0 checkpoints, and there were 1" in until_missing(scene)
    nothing_begins(scene, [p for p in scene.pods() if claim(p) in (claim(pod), claim(second))])
    assert times(folder, "first") == 1


def test_a_backup_that_looks_whole_starts_nothing_once_it_is_said_to_be_one(scene, start_operator, folder):
    operator = start_operator()
    uid, pod, process = begin(scene, folder)
    before = scene.status()["storeId"]
    operator.stop()
    report = mark_restored(scene.database.url)
    assert process.wait(30) == 76  # its claim is void
    scene.tell_end(pod, 76)
    start_operator()
    said = until_missing(scene)
    assert before in said
    assert str(report.store_id) in said
    assert "a backup of it" in said
    nothing_begins(scene, [pod])

    (folder / "go").touch()
    restart(scene, "1")
    assert scene.play_to_the_end(scene.until_pod(2)) == 0
    assert scene.until_phase("Succeeded")["storeId"] == str(report.store_id)
    assert (times(folder, "first"), times(folder, "second")) == (1, 2)
    assert scene.attempts(uid) == [(1, "superseded"), (2, "completed")]


def test_a_run_whose_checkpoints_are_missing_can_be_cancelled_and_deleted(scene, start_operator, folder):
    start_operator()
    _, pod, process = begin(scene, folder)
    empty(scene.database)
    kill(scene, pod, process)
    until_missing(scene)
    scene.change(cancel=True)
    scene.until_phase("Cancelled")
    scene.delete()
    nothing_begins(scene, scene.pods())
    assert scene.database.query("SELECT count(*) FROM perdure.runs") == [(0,)]


def env(pod, name):
    container = next(one for one in pod["spec"]["containers"] if one["name"] == "workflow")
    return next((one.get("value") for one in container["env"] if one["name"] == name), None)


def claim(pod):
    return env(pod, "PERDURE_CLAIM")


def url(pod):
    return env(pod, "PERDURE_DATABASE_URL")
