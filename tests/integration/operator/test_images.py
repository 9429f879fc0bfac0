"""Which image each attempt ran is in the store, and a tag that moved between two of them is a warning in the status."""

from __future__ import annotations

import signal

from tests.harness.eventually import eventually
from tests.harness.processes import signal_all

from .test_a_run import SLOW, times

ONE, TWO = (f"registry.example/flow@sha256:{digit * 64}" for digit in "12")


def images(scene, uid):
    return scene.database.query("SELECT attempt, image FROM perdure.attempts WHERE run_id = %s ORDER BY 1", uid)


def told_of_the_tag(scene):
    return [reason for reason in scene.events() if reason == "ImageChanged"]


def test_a_tag_that_moves_between_two_attempts(scene, start_operator, tmp_path):
    start_operator()
    tmp_path.chmod(0o777)
    uid = scene.apply(code=SLOW, input={"folder": str(tmp_path)}, image="registry.example/flow:1")
    scene.image_id = ONE
    pod = scene.until_pod()
    process = scene.play(pod)
    eventually(lambda: images(scene, uid) == [(1, ONE)], deadline=20)
    assert times(tmp_path, "first") == 1
    eventually(lambda: times(tmp_path, "second") == 1, deadline=20)
    signal_all(process.descendants(), signal.SIGKILL)
    scene.tell_end(pod, process.wait(10))

    again = scene.until_pod(2)
    scene.image_id = TWO
    process = scene.play(again)
    warning = eventually(lambda: scene.condition("ImageChanged"), deadline=20)
    assert (warning["status"], warning["reason"]) == ("True", "TagMoved")
    assert TWO.partition("@")[2] in warning["message"]
    scene.until_phase("Running")
    scene.until_phase("Running")
    eventually(lambda: images(scene, uid) == [(1, ONE), (2, TWO)], deadline=20)
    (tmp_path / "go").touch()
    scene.tell_end(again, process.wait(20))
    scene.until_phase("Succeeded")
    assert scene.condition("ImageChanged") == warning
    assert scene.condition("Stalled") is None
    assert told_of_the_tag(scene) == ["ImageChanged"]


def test_an_attempt_that_ends_before_its_kubelet_tells_what_it_ran(scene, start_operator):
    start_operator()
    uid = scene.apply(image="registry.example/flow:1")
    pod = scene.until_pod()
    code = scene.play(pod).wait(30)  # so far no image is told
    scene.until_phase("Succeeded")
    assert images(scene, uid) == [(1, None)]
    scene.image_id = ONE
    scene.tell_end(pod, code)
    eventually(lambda: images(scene, uid) == [(1, ONE)], deadline=20)
    assert scene.condition("ImageChanged") is None
