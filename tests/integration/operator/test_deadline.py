"""`activeDeadlineSeconds`: it bounds a run that never begins, too, and counts as a Job's does."""

from __future__ import annotations

from typing import Any

from tests.harness.eventually import eventually

from .scene import Scene


def deadline_from(scene: Scene) -> Any:
    [(since,)] = scene.database.query("SELECT deadline_from FROM perdure.runs")
    return since


def test_a_run_whose_pod_never_begins_ends_at_its_deadline(start_operator: Any, scene: Scene) -> None:
    start_operator()
    uid = scene.apply(activeDeadlineSeconds=2)
    scene.until_pod()  # and nobody is there to run it
    status = scene.until_phase("Failed", deadline=15)
    assert status["error"] == {
        "type": "perdure.errors:DeadlineExceeded",
        "message": "the run had not ended by its deadline, 2 s after it was taken on or last resumed",
    }
    assert (scene.condition("Finished") or {})["reason"] == "DeadlineExceeded"
    assert scene.attempts(uid) == [(1, "superseded")]
    eventually(lambda: scene.pods() == [], deadline=20)


def test_a_run_that_waits_for_a_place_ends_at_its_deadline(start_operator: Any, scene: Scene) -> None:
    start_operator(max_active_runs="1")
    scene.apply("first")
    scene.until_pod(of="first")
    uid = scene.apply("second", activeDeadlineSeconds=2)
    scene.until_phase("Failed", "second", deadline=15)
    assert scene.attempts(uid) == []


def test_while_it_is_suspended_nothing_counts_and_resuming_begins_anew(start_operator: Any, scene: Scene) -> None:
    start_operator()
    scene.apply(activeDeadlineSeconds=3600, suspend=True)
    scene.until_phase("Suspended")
    assert deadline_from(scene) is None
    scene.change(suspend=False)
    process = scene.play(scene.until_pod())
    assert process.wait(30) == 0
    first = deadline_from(scene)
    assert first is not None

    scene.apply("other", activeDeadlineSeconds=3600)
    scene.until_pod(of="other")
    late = "UPDATE perdure.runs SET deadline_from = deadline_from - interval '1 hour' WHERE name = 'other'"
    scene.change("other", suspend=True)
    scene.until_phase("Suspended", "other")
    scene.database.query(late)
    scene.change("other", suspend=False)
    assert scene.play_to_the_end(scene.until_pod(2, of="other")) == 0
    scene.until_phase("Succeeded", "other")
