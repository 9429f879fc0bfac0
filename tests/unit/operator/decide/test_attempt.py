"""A claimed attempt: on its way, stuck, running, silent, over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.names import Claim
from perdure_operator.decide.actions import ClaimRun, CreatePod, ReleaseRun
from perdure_operator.decide.observed import ContainerEnd, PodPhase, Stage
from tests.unit.operator.decide.builders import (
    LIMITS,
    ago,
    begun,
    claimed,
    deeds,
    ended_attempt,
    message,
    new_status,
    observed,
    over,
    pod,
    reason,
    requeue_after,
    run,
    spec,
    started,
    token,
    told,
    workflow,
)

PENDING = PodPhase.PENDING
CLAIM: Claim = token(1)


def released(seen) -> tuple[str, str]:
    [action] = deeds(seen)
    assert isinstance(action, ReleaseRun)
    assert action.claim == CLAIM
    return action.ending, action.detail


# On its way.


def test_a_pod_on_its_way_is_waited_for():
    for phase in (PENDING, PodPhase.RUNNING):
        seen = observed(claimed(claimed_for=5), [pod(phase=phase)])
        assert (deeds(seen), reason(seen)) == ([], "Starting")
        assert 0 < requeue_after(seen) <= 15


def test_an_attempt_that_does_not_begin_ends_after_its_start_deadline():
    seen = observed(claimed(claimed_for=601), [pod()])
    assert released(seen)[0] == "never begun"
    assert requeue_after(observed(claimed(claimed_for=599), [pod()])) == 1.0


def test_the_start_deadline_counts_from_when_the_pod_came_nearer_to_its_start():
    assert deeds(observed(claimed(claimed_for=5000), [pod(progressed=ago(5))])) == []
    assert released(observed(claimed(claimed_for=5000), [pod(progressed=ago(601))]))[0] == "never begun"
    assert deeds(observed(claimed(claimed_for=5), [pod(progressed=ago(5000))])) == []


@pytest.mark.parametrize("phase", [PENDING, PodPhase.RUNNING])
def test_a_node_has_an_hour_to_pull_an_image_and_it_is_no_crash_if_it_takes_longer(phase):
    """A sidecar may run meanwhile."""

    def taken(for_seconds: float, **changes):
        there = pod(phase=phase, stage=Stage.TAKEN, progressed=ago(for_seconds))
        return observed(claimed(claimed_for=9000), [there], **changes)

    assert (deeds(taken(3500)), reason(taken(3500))) == ([], "Starting")
    assert "pulls its image" in message(taken(3500))
    assert requeue_after(taken(3590)) == 10
    ending, detail = released(taken(3601))
    assert (ending, "3600 s" in detail) == ("evicted", True)
    assert deeds(taken(7000, preparation=7200.0)) == []
    assert deeds(taken(200, preparation=100.0)) != []


def test_the_attempt_after_one_whose_container_was_never_made_prefers_other_nodes():
    slow = pod(phase=PENDING, stage=Stage.TAKEN)
    last = ended_attempt(1, "evicted")
    assert deeds(observed(claimed(2, last=last), [slow])) == [CreatePod(2, token(2), ("node-1",))]
    assert deeds(observed(claimed(2, last=last), [replace(slow, stage=Stage.STARTED)])) == [CreatePod(2, token(2))]


def test_a_pod_that_nobody_has_bound_waits_for_its_scheduler():
    seen = observed(claimed(claimed_for=100_000), [pod(phase=PENDING, stage=Stage.UNBOUND, node=None)])
    assert (deeds(seen), reason(seen)) == ([], "Starting")
    assert "scheduler" in message(seen)
    assert requeue_after(seen) == 15


def test_a_pod_that_was_there_and_is_gone_before_it_began_is_not_made_again():
    missing = observed(claimed(), pod_gone=True)
    assert deeds(missing) == [CreatePod(1, CLAIM)]
    assert released(replace(missing, pod_met=True))[0] == "evicted"


def test_a_node_that_never_speaks_of_its_pod_is_lost():
    def bound(for_seconds: float):
        there = pod(phase=PENDING, stage=Stage.BOUND, progressed=ago(for_seconds))
        return observed(claimed(claimed_for=5000), [there])

    assert (deeds(bound(50)), reason(bound(50)), requeue_after(bound(50))) == ([], "Starting", 10)
    assert released(bound(61)) == ("node lost", "node node-1 has said nothing of its pod for 60 s")
    # It may be one that its template binds, so that no scheduler says since when.
    assert released(observed(claimed(claimed_for=61), [pod(phase=PENDING, stage=Stage.BOUND)]))[0] == "node lost"


def test_the_attempt_after_one_whose_node_never_spoke_prefers_other_nodes():
    last = ended_attempt(1, "node lost")
    mute = pod(phase=PENDING, stage=Stage.BOUND)
    assert deeds(observed(claimed(2, last=last), [mute])) == [CreatePod(2, token(2), ("node-1",))]


@pytest.mark.parametrize(
    ("waiting", "expected", "stalled"),
    [
        (("ImagePullBackOff", "Back-off pulling image"), "ImagePullFailed", True),
        (("ErrImagePull", "not found"), "ImagePullFailed", True),
        (("InvalidImageName", "no such name"), "ImagePullFailed", True),
        (("CreateContainerConfigError", 'secret "bank" not found'), "PodRefused", True),
        (("Unschedulable", "0/2 nodes are available"), "Unschedulable", False),
        (("SchedulingGated", ""), "Unschedulable", False),
        (("PodInitializing", ""), "Starting", False),
    ],
)
def test_what_a_pod_waits_for_without_end_is_told_and_is_no_crash(waiting, expected, stalled):
    seen = observed(claimed(claimed_for=100_000), [pod(phase=PENDING, waiting=waiting, node=None)])
    assert (deeds(seen), reason(seen)) == ([], expected)
    assert ("Stalled" in new_status(seen).conditions) is stalled
    assert ("Reconciling" in new_status(seen).conditions) is not stalled
    assert waiting[1] in message(seen)
    assert requeue_after(seen) is not None


def test_an_image_that_is_there_at_last_starts_the_attempt():
    stuck = told(observed(claimed(claimed_for=1000), [pod(phase=PENDING, waiting=("ImagePullBackOff", ""))]))
    seen = replace(stuck, run=begun(), pods=[pod()])
    assert (deeds(seen), reason(seen)) == ([], "Running")


def test_a_pod_that_cannot_start_is_made_anew_from_another_spec():
    stuck = pod(phase=PENDING, waiting=("Unschedulable", "too big"), generation=1)
    changed = workflow(generation=2, status=started())
    assert deeds(observed(claimed(), [stuck], workflow=changed)) == [ClaimRun(1)]
    assert deeds(observed(claimed(), [replace(stuck, generation=2)], workflow=changed)) == []
    assert deeds(observed(claimed(), [replace(stuck, generation=None)], workflow=changed)) == []


@pytest.mark.parametrize("phase", [PENDING, PodPhase.RUNNING])
def test_a_pod_that_goes_before_the_attempt_began_is_not_waited_for(phase):
    assert released(observed(claimed(), [pod(phase=phase, deleting=True)]))[0] == "evicted"
    assert released(observed(claimed(), [pod(phase=phase, disrupted="PreemptionByScheduler: x")]))[0] == "evicted"
    lost = pod(phase=phase, disrupted="DeletionByPodGC: node no longer exists")
    assert released(observed(claimed(), [lost]))[0] == "node lost"


# Refused.


def refused(words: str, **changes):
    return observed(claimed(), workflow=workflow(status=started()), refused=words, **changes)


def test_a_refused_pod_is_told_in_the_servers_words_and_tried_now_and_then():
    seen = refused("spec.containers[0].image: Invalid value", refused_for=5)
    assert (deeds(seen), reason(seen)) == ([], "PodRefused")
    assert "Invalid value" in message(seen)
    assert "Stalled" in new_status(seen).conditions
    assert requeue_after(seen) == 25
    assert deeds(replace(seen, refused_for=30.0)) == [CreatePod(1, CLAIM)]


def test_a_refused_pod_is_tried_again_at_once_with_another_spec():
    assert deeds(refused("Invalid value", refused_generation=1)) == []
    changed = workflow(generation=2, status=started())
    seen = observed(claimed(), workflow=changed, refused="Invalid value", refused_generation=1)
    assert deeds(seen) == [CreatePod(1, CLAIM)]


def test_a_refusal_outlasts_no_start_deadline():
    seen = observed(claimed(claimed_for=100_000), refused="Invalid value")
    assert deeds(seen) == []


def test_a_used_up_quota_is_waited_for():
    seen = refused('pods "x" is forbidden: exceeded quota: small')
    assert (deeds(seen), reason(seen)) == ([], "AtCapacity")
    assert "Reconciling" in new_status(seen).conditions


def test_a_namespace_that_goes_is_no_fault_of_the_workflow():
    seen = refused('pods "x" is forbidden: unable to create new content in namespace a because it is being terminated')
    assert deeds(seen) == []
    assert "Stalled" not in new_status(seen).conditions
    assert "namespace" in message(seen)


# Running.


def test_a_running_attempt_is_left_alone():
    seen = observed(begun(), [pod()])
    assert (deeds(seen), reason(seen)) == ([], "Running")
    assert requeue_after(seen) == 30
    assert new_status(seen).pod_name == pod().name


@pytest.mark.parametrize(
    "its_pod",
    [
        pod(phase=PENDING, stage=Stage.UNBOUND, node=None),
        pod(phase=PENDING, stage=Stage.BOUND, progressed=ago(20)),
        pod(phase=PENDING, stage=Stage.TAKEN, progressed=ago(20)),
        pod(phase=PENDING, waiting=("ImagePullBackOff", ""), stage=Stage.TAKEN, generation=0),
        pod(progressed=ago(5)),
    ],
)
def test_who_is_silent_before_the_pod_can_have_begun_may_be_a_thief_whom_the_pod_will_tell_of(its_pod):
    seen = observed(begun(silent="silent"), [its_pod])
    assert deeds(seen) == []
    assert requeue_after(seen) <= 60
    assert released(replace(seen, pods=[over(code=77)]))[0] == "begun elsewhere"
    cancelled = begun(silent="silent", limits=replace(LIMITS, cancel=True))
    assert released(replace(seen, run=cancelled, workflow=workflow(spec=spec(cancel=True), status=started())))


def test_who_is_silent_once_the_pod_must_have_begun_is_its_process():
    seen = observed(begun(silent="silent"), [pod(progressed=ago(11))])
    assert released(seen)[0] == "node lost"


def test_a_pod_that_goes_may_hand_its_run_back_itself():
    seen = observed(begun(), [pod(deleting=True)])
    assert (deeds(seen), reason(seen)) == ([], "Running")
    assert "deleted" in message(seen)
    assert requeue_after(seen) <= 5


def test_a_pod_out_of_sight_ends_no_attempt_until_the_api_server_says_that_it_is_gone():
    seen = observed(begun())
    assert deeds(seen) == []
    assert requeue_after(seen) <= 5
    assert released(replace(seen, pod_gone=True))[0] == "evicted"


@pytest.mark.parametrize(
    ("its_pod", "ending"),
    [
        (pod(), "node lost"),
        (pod(phase=PodPhase.UNKNOWN), "node lost"),
        (pod(deleting=True), "evicted"),
        (pod(disrupted="EvictionByEvictionAPI: drained"), "evicted"),
        (pod(disrupted="DeletionByTaintManager: node is unreachable"), "node lost"),
        (pod(node=None), "lost"),
        (None, "evicted"),
    ],
)
def test_a_silent_process_is_not_waited_for(its_pod, ending):
    seen = observed(begun(silent="its heartbeat has rested for 6 s"), [its_pod] if its_pod else [])
    told_ending, detail = released(seen)
    assert told_ending == ending
    assert "6 s" in detail


def test_a_silent_process_is_left_alone_while_the_way_to_the_store_is_suspected():
    seen = observed(begun(), [pod()], left_alone="9 of 10 attempts fell silent at once")
    assert deeds(seen) == []
    assert reason(seen) == "StoreSuspected"
    assert new_status(seen).phase == "Running"
    assert "is silent, and is left alone" in message(seen)
    assert "9 of 10 attempts" in message(seen)
    assert released(replace(seen, pods=[], pod_gone=True))[0] == "evicted"
    assert released(replace(seen, pods=[over()]))[0] == "crashed"


def test_silence_before_the_begin_says_nothing():
    assert deeds(observed(claimed(silent="odd"), [pod()])) == []


def test_a_new_attempt_does_not_wait_for_the_end_of_the_last_ones_pod():
    seen = observed(run(attempt=1, last=ended_attempt()), [pod(1)])
    assert deeds(seen) == [ClaimRun(1)]
    assert deeds(observed(claimed(2), [pod(1)], workflow=workflow(status=started()))) == [CreatePod(2, token(2))]


@pytest.mark.parametrize(
    ("pods", "last", "avoided"),
    [
        ([pod(1)], ended_attempt(1, "node lost"), ("node-1",)),
        ([pod(1, deleting=True)], ended_attempt(1, "node lost"), ("node-1",)),
        ([pod(1), pod(2, node="node-2")], ended_attempt(2, "node lost"), ("node-1", "node-2")),
        ([pod(1), over(2, node="node-2")], ended_attempt(2), ("node-1",)),
        # Its end was reported by its process, and the kubelet will tell in a moment.
        ([pod(1)], ended_attempt(1), ()),
        ([over(1)], ended_attempt(1, "node lost"), ()),
        ([pod(1, PodPhase.PENDING, node=None)], ended_attempt(1, "node lost"), ()),
        ([], ended_attempt(1, "node lost"), ()),
        ([pod(1)], None, ()),
    ],
)
def test_a_new_pod_avoids_nodes_of_which_nothing_is_heard(pods, last, avoided):
    attempt = 1 if last is None else last.attempt + 1
    given = workflow(status=started())
    (created,) = deeds(observed(claimed(attempt + (last is None), last=last), pods, workflow=given))
    assert created.avoid == avoided


def test_a_running_attempt_of_an_unreadable_spec_ends_by_itself():
    given = workflow(spec=None, problem="odd", status=started())
    seen = observed(begun(), [pod()], workflow=given)
    assert (deeds(seen), reason(seen)) == ([], "Running")


# Over.


@pytest.mark.parametrize(
    ("its_pod", "ending", "words"),
    [
        (over(code=137, reason="OOMKilled"), "crashed", "out of memory"),
        (over(code=137), "crashed", "SIGKILL"),
        (over(code=139), "crashed", "SIGSEGV"),
        (over(code=3, message="perdure: it died"), "crashed", "code 3"),
        (over(code=3, message="perdure: it died"), "crashed", "it died"),
        (over(code=1), "crashed", "code 1"),
        (over(code=79), "crashed", "code 79"),
        (over(code=77, message="it has begun already"), "begun elsewhere", "another process"),
        (over(code=75, message="terminated"), "released", "terminated"),
        (over(code=143, deleting=True), "evicted", "deleted"),
        (over(code=137, disrupted="Evicted: The node was low on resource: memory"), "evicted", "low on"),
        (
            over(code=137, disrupted="Terminated: ended in response to node shutdown"),
            "evicted",
            "shutdown",
        ),
        (over(code=137, disrupted="NodeLost: node node-1 is lost"), "node lost", "lost"),
        (over(code=137, reason="OOMKilled", disrupted="Evicted: low"), "crashed", "out of memory"),
        (pod(phase=PodPhase.FAILED), "lost", "is unknown"),
        (pod(phase=PodPhase.FAILED, disrupted="Evicted: low"), "evicted", "low"),
    ],
)
def test_an_attempt_whose_pod_is_over_ends_in_the_right_words(its_pod, ending, words):
    told_ending, detail = released(observed(begun(), [its_pod]))
    assert told_ending == ending
    assert words in detail


def test_signals_and_exit_codes_go_to_the_store():
    [by_signal] = deeds(observed(begun(), [over(code=139)]))
    assert (by_signal.code, by_signal.signal) == (None, 11)
    [by_code] = deeds(observed(begun(), [over(code=3)]))
    assert (by_code.code, by_code.signal) == (3, None)


@pytest.mark.parametrize(
    ("its_pod", "ending", "words"),
    [
        (over(code=69, message="the attempt did not start: no schema"), "store unreachable", "no schema"),
        (over(code=64), "never begun", "64"),
        (over(code=76), "store unreachable", "database"),
        (over(code=1, message="No module named perdure"), "never begun", "No module"),
        (over(code=128, reason="StartError"), "never begun", "StartError"),
        (over(code=0, reason="Completed"), "never begun", "code 0"),
        (over(code=137, reason="OOMKilled"), "never begun", "out of memory"),
        (over(code=75), "released", "told to stop"),
        (over(code=143, deleting=True), "evicted", "deleted"),
        (over(code=137, disrupted="Preempting: x"), "evicted", "Preempting"),
        (pod(phase=PodPhase.FAILED), "never begun", "before the attempt began"),
    ],
)
def test_an_attempt_that_ended_before_it_began_ends_in_the_right_words(its_pod, ending, words):
    told_ending, detail = released(observed(claimed(), [its_pod]))
    assert told_ending == ending
    assert words in detail


def test_a_sidecar_that_never_ends_keeps_no_attempt_alive():
    seen = observed(begun(), [pod(end=ContainerEnd(137, "Error"))])
    assert released(seen)[0] == "crashed"


def test_the_end_of_another_claims_pod_ends_nothing():
    assert deeds(observed(begun(2), [over(1), pod(2)])) == []


def test_a_suspended_run_whose_attempt_has_not_begun_is_released():
    given = workflow(spec=spec(suspend=True), status=started())
    seen = observed(claimed(limits=replace(LIMITS, suspend=True)), [pod(phase=PENDING)], workflow=given)
    assert released(seen)[0] == "released"
