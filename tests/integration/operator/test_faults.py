"""An API server that fails in every way it can: the operator neither ends nor loses a Workflow nor starts one twice."""

from __future__ import annotations

import time

import pytest

from tests.cluster.faults.api_proxy import (
    Answer,
    ApiProxy,
    Cut,
    DelayEvents,
    DropEvents,
    DuplicateEvents,
    EndWatch,
    ErrorEvent,
    Latency,
    LoseAnswer,
    Requests,
    Reset,
    Stall,
)
from tests.harness.eventually import eventually

WATCHES = Requests(verb="watch")
PODS = Requests(verb="create", resource="pods")


@pytest.fixture
def proxy(api_server):
    with ApiProxy(api_server.kubeconfig) as proxy:
        yield proxy


@pytest.fixture
def operator(proxy, start_operator, tmp_path):
    """An operator that reaches the API server through the proxy."""
    return start_operator(kubeconfig=str(proxy.kubeconfig(tmp_path / "kubeconfig")))


def run_one(scene, name="one", deadline=30):
    uid = scene.apply(name)
    assert scene.play_to_the_end(scene.until_pod(of=name, deadline=deadline)) == 0
    scene.until_phase("Succeeded", name, deadline=deadline)
    assert scene.attempts(uid) == [(1, "completed")]


@pytest.mark.parametrize(
    ("fault", "on"),
    [
        (ErrorEvent(410), WATCHES),
        (ErrorEvent(500), WATCHES),
        (Answer(410), WATCHES),
        (Answer(500), WATCHES),
        (Answer(401), WATCHES),
        (EndWatch(), WATCHES),
        (Cut(), WATCHES),
        (DuplicateEvents(), WATCHES),
        (DelayEvents(0.5), WATCHES),
    ],
    ids=repr,
)
def test_watches_that_fail(operator, proxy, scene, fault, on):
    operator.until_leading()
    with proxy.fault(fault, on, seconds=2):
        proxy.cut_all()
        run_one(scene)
    run_one(scene, "two")
    assert operator.child.running()


def test_no_watch_is_lost_when_both_are_unauthorized_again_and_again(operator, proxy, scene):
    # kopf closes the session of both watches when one of them is unauthorized. What the other does at that moment
    # differs from time to time, so this is done again and again.
    operator.until_watching()
    for number in range(12):
        with proxy.fault(Answer(401), WATCHES, seconds=0.1 + 0.02 * number) as rule:
            proxy.cut_all()
            eventually(rule.ended.is_set, deadline=5)
        scene.apply(name := f"number-{number}")
        scene.until_pod(of=name, deadline=15)
    assert not [line for line in operator.log if line["logger"] == "perdure.operator.events"]


@pytest.mark.parametrize(
    "fault",
    [Answer(500), Answer(503), Answer(429, retry_after=1), Answer(401), Reset(), LoseAnswer(), Latency(0.3)],
    ids=repr,
)
@pytest.mark.timeout(400)
def test_a_third_of_all_requests_fail(operator, proxy, scene, fault):
    operator.until_leading()
    with proxy.fault(fault, Requests(verb={"get", "list", "create", "patch", "update", "delete"}), rate=0.3, seed=5):
        for name in ("one", "two", "three"):
            # The pauses between tries double, up to half a minute: a dozen failures in a row take two minutes. A start
            # takes several requests in a row. A read has three tries, the creation one: seven in ten succeed.
            run_one(scene, name, deadline=120)
    assert operator.child.running()


def test_an_answer_to_the_creation_of_a_pod_that_is_lost_makes_no_second_one(operator, proxy, scene):
    operator.until_leading()
    with proxy.fault(LoseAnswer(), PODS, times=1):
        run_one(scene)
    assert len(scene.pods()) == 1


def test_a_busy_server_is_left_alone_for_as_long_as_it_says(operator, proxy, scene):
    operator.until_leading()
    with proxy.fault(Answer(429, retry_after=3), PODS, times=1):
        began = time.monotonic()
        uid = scene.apply()
        pod = scene.until_pod()
        assert 3 <= time.monotonic() - began < 20  # a busy machine is no reason to ask sooner
    assert len(proxy.seen_of(PODS)) == 2
    assert scene.play_to_the_end(pod) == 0
    scene.until_phase("Succeeded")
    assert scene.attempts(uid) == [(1, "completed")]


def test_a_deleted_pod_of_which_no_event_told_is_found_by_the_comparison(proxy, scene, start_operator, tmp_path):
    kubeconfig = proxy.kubeconfig(tmp_path / "kubeconfig")
    operator = start_operator(kubeconfig=str(kubeconfig), resync_seconds="3")
    operator.until_leading()
    uid = scene.apply()
    pod = scene.until_pod()
    with proxy.fault(DropEvents(type="DELETED"), WATCHES):
        scene.delete_pod(pod)
        again = scene.until_pod(2, deadline=20)
    assert scene.play_to_the_end(again) == 0
    scene.until_phase("Succeeded")
    assert [ending for _, ending in scene.attempts(uid)] == ["evicted", "completed"]


def test_a_deleted_workflow_of_which_no_event_told_has_its_run_cancelled(proxy, scene, start_operator, tmp_path):
    kubeconfig = proxy.kubeconfig(tmp_path / "kubeconfig")
    operator = start_operator(kubeconfig=str(kubeconfig), resync_seconds="3")
    operator.until_leading()
    uid = scene.apply()
    scene.until_pod()
    with proxy.fault(DropEvents(type="DELETED"), WATCHES):
        scene.delete()
        eventually(
            lambda: scene.database.query("SELECT cancel FROM perdure.runs WHERE id = %s", uid) == [(True,)],
            deadline=20,
        )


@pytest.mark.slow
def test_watches_that_fall_silent_are_made_up_for(proxy, scene, start_operator, tmp_path):
    kubeconfig = proxy.kubeconfig(tmp_path / "kubeconfig")
    operator = start_operator(kubeconfig=str(kubeconfig), resync_seconds="3")
    operator.until_leading()
    with proxy.fault(Stall(), WATCHES):
        run_one(scene)


@pytest.mark.slow
def test_a_server_that_takes_requests_and_answers_none_is_waited_for(operator, proxy, scene):
    operator.until_leading()
    uid = scene.apply()
    process = scene.play(pod := scene.until_pod())
    with proxy.fault(Stall()):
        assert process.wait(20) == 0
        eventually(lambda: operator.metric("leading") == 0, deadline=30)
    scene.tell_end(pod, 0)
    scene.until_phase("Succeeded", deadline=60)
    assert scene.attempts(uid) == [(1, "completed")]
