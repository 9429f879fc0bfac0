"""Several operators: one works, and another takes its place."""

from __future__ import annotations

import time

import pytest

from tests.harness.eventually import eventually


def lease(scene):
    path = f"/apis/coordination.k8s.io/v1/namespaces/{scene.namespace}/leases/perdure-operator"
    return scene.api.get(path)["spec"]


def test_only_one_works_and_the_other_is_ready_to(scene, start_operator):
    first = start_operator(identity="first")
    first.until_leading()
    second = start_operator(identity="second")
    eventually(lambda: second.get("/readyz") == (200, "ok\n"), deadline=10)
    assert lease(scene)["holderIdentity"] == "first"
    assert (first.metric("leading"), second.metric("leading")) == (1, 0)


def test_an_operator_that_is_told_to_stop_is_replaced_within_three_seconds(scene, start_operator):
    first = start_operator(identity="first")
    first.until_leading()
    second = start_operator(identity="second")
    eventually(lambda: second.get("/readyz")[0] == 200)
    began = time.monotonic()
    assert first.stop() == 0
    stopped = time.monotonic() - began
    second.until_leading()
    took = time.monotonic() - began
    print(f"stopped in {stopped:.2f} s, replaced in {took:.2f} s")
    assert stopped < 3
    assert took < 5
    assert lease(scene)["holderIdentity"] == "second"
    scene.apply()
    assert scene.play_to_the_end(scene.until_pod()) == 0
    scene.until_phase("Succeeded")


@pytest.mark.slow
def test_an_operator_that_is_killed_is_replaced_once_its_lease_has_lapsed(scene, start_operator):
    first = start_operator(identity="first")
    first.until_leading()
    second = start_operator(identity="second")
    eventually(lambda: second.get("/readyz")[0] == 200)
    first.child.kill()
    began = time.monotonic()
    scene.apply()
    pod = scene.until_pod(deadline=30)
    took = time.monotonic() - began
    print(f"killed to the next reconcile: {took:.1f} s")
    assert took < 20
    assert scene.play_to_the_end(pod) == 0
    scene.until_phase("Succeeded")
    assert second.metric("leading") == 1


@pytest.mark.slow
def test_an_operator_that_was_paused_past_its_lease_stands_back(scene, start_operator):
    first = start_operator(identity="first")
    first.until_leading()
    second = start_operator(identity="second")
    eventually(lambda: second.get("/readyz")[0] == 200)
    first.child.pause()
    second.until_leading()
    uid = scene.apply()
    pod = scene.until_pod()
    first.child.resume()
    assert scene.play_to_the_end(pod) == 0
    scene.until_phase("Succeeded")
    eventually(lambda: first.metric("leading") == 0, deadline=10)
    assert scene.attempts(uid) == [(1, "completed")]
    assert lease(scene)["holderIdentity"] == "second"
