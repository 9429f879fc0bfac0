"""A Workflow that is deleted takes its run with it, whatever the run was about to do: none is left half held."""

from __future__ import annotations

from tests.harness.eventually import eventually

from .test_a_run import SLOW, times


def row(scene, uid):
    [found] = scene.database.query("SELECT state, claim IS NULL FROM perdure.runs WHERE id = %s", uid)
    return found


def test_a_run_whose_pod_has_not_begun(scene, start_operator):
    start_operator()
    uid = scene.apply()
    scene.until_pod()
    scene.delete()
    eventually(lambda: row(scene, uid) == ("cancelled", True), deadline=20)
    assert scene.attempts(uid) == [(1, "evicted")]


def test_a_run_whose_pod_has_not_begun_and_that_was_asked_to_end_before(scene, start_operator):
    """As operators left it that had no better answer."""
    operator = start_operator()
    uid = scene.apply()
    scene.until_pod()
    operator.stop()
    scene.delete()
    scene.database.query("UPDATE perdure.runs SET cancel = true WHERE id = %s", uid)
    start_operator()
    eventually(lambda: row(scene, uid) == ("cancelled", True), deadline=20)


def test_a_run_whose_process_died_without_a_word(scene, start_operator, tmp_path):
    tmp_path.chmod(0o777)
    operator = start_operator()
    uid = scene.apply(code=SLOW, input={"folder": str(tmp_path)})
    process = scene.play(scene.until_pod())
    eventually(lambda: times(tmp_path, "second") == 1, deadline=20)
    scene.delete()
    eventually(lambda: scene.database.query("SELECT cancel FROM perdure.runs WHERE id = %s", uid) == [(True,)])
    assert row(scene, uid) == ("running", False)  # it has time to end
    process.kill_group()
    operator.stop()
    scene.database.query("UPDATE perdure.runs SET gone = gone - interval '1 hour' WHERE id = %s", uid)
    start_operator()
    eventually(lambda: row(scene, uid) == ("cancelled", True), deadline=20)


def test_what_is_stored_of_it_goes_in_its_time_and_of_no_other(scene, start_operator):
    start_operator(retention_days="0", resync_seconds="1")
    kept = scene.apply("kept")
    gone = scene.apply("gone")
    for name in ("kept", "gone"):
        assert scene.play_to_the_end(scene.until_pod(of=name)) == 0
        scene.until_phase("Succeeded", name)
    assert rows(scene, gone) == (1, 1, 1)
    scene.delete("gone")
    eventually(lambda: rows(scene, gone) == (0, 0, 0), deadline=20)
    assert rows(scene, kept) == (1, 1, 1)


def rows(scene, uid):
    [(runs,)] = scene.database.query("SELECT count(*) FROM perdure.runs WHERE id = %s", uid)
    [(attempts,)] = scene.database.query("SELECT count(*) FROM perdure.attempts WHERE run_id = %s", uid)
    [(steps,)] = scene.database.query("SELECT count(*) FROM perdure.steps WHERE run_id = %s", uid)
    return runs, attempts, steps
