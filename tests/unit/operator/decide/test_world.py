"""Runs from their start to their end in a small world, in order and with everything that can happen to them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from tests.unit.operator.decide.builders import OTHER_STORE, spec
from tests.unit.operator.decide.kstatus import kstatus
from tests.unit.operator.decide.model_store import CANCEL, Row
from tests.unit.operator.decide.world import UNDO, World


def settle(world: World, rounds: int = 400, *, skip_soon: bool = False) -> int:
    """Without faults: everybody does what is next, and time goes by. How many rounds until an end, or to the last."""
    operator = world.operators[0]
    for number in range(rounds):
        world.watch(operator)
        world.reconcile(operator, skip_soon=skip_soon)
        assert not world.violations, world.violations
        if world.workflow is None or world.finished:
            return number
        for uid in list(world.pods):
            world.kubelet(uid)
            world.process(uid)
            world.kubelet(uid)
        world.sleep(1.0 if world.pods else 5.0)
    return rounds


def test_a_simple_run_ends_and_costs_the_api_server_little():
    world = World()
    settle(world)
    assert world.reason == "Succeeded"
    world.sleep(700)
    settled = len(world.writes)
    world.watch(world.operators[0])
    world.reconcile(world.operators[0])
    assert len(world.writes) == settled + 1
    assert world.pods == {}
    assert world.events == ["Started", "Succeeded"]
    assert len(world.writes) <= 8
    world.reconcile(world.operators[0])
    assert world.operators[0].seen.workflow.status.phase == "Succeeded"


@pytest.mark.parametrize("steps", [0, 1, 300])
def test_the_number_of_steps_changes_little_of_that(steps):
    world = World(steps=steps)
    settle(world)
    assert world.reason == "Succeeded"
    assert len(world.writes) <= 7 + steps // 30


@pytest.mark.parametrize("reported", [True, False])
def test_a_crash_costs_one_step_and_the_story_is_told(reported):
    world = World()
    operator = world.operators[0]
    for _ in range(3):
        world.watch(operator)
        world.reconcile(operator)
        for uid in list(world.pods):
            world.kubelet(uid)
            world.process(uid)
    world.watch(operator)
    world.reconcile(operator)
    [uid] = world.pods
    world.crash(uid, reported=reported)
    settle(world)
    assert world.reason == "Succeeded"
    assert world.events == ["Started", "Crashed", "Resumed", "Succeeded"]
    assert world.workflow is not None
    assert world.workflow.status.attempts == 2


def test_a_poison_run_ends_at_its_backoff_limit():
    world = World(spec(backoff_limit=2))
    operator = world.operators[0]
    for _ in range(300):
        world.watch(operator)
        world.reconcile(operator)
        if world.finished:
            break
        for uid in list(world.pods):
            world.kubelet(uid)
            if world.processes[uid].begun:
                world.crash(uid, reported=False)
            else:
                world.process(uid)
            world.kubelet(uid)
        world.sleep(1.0)
    assert world.reason == "BackoffLimitExceeded"
    assert kstatus(world.workflow) == "Failed"
    assert len(world.pods) == 3


def test_a_run_that_is_disrupted_for_ever_ends():
    world = World()
    operator = world.operators[0]
    for _ in range(3000):
        world.watch(operator)
        world.reconcile(operator)
        if world.finished:
            break
        for uid in list(world.pods):
            world.kubelet(uid)
            world.delete_pod(uid, at_once=True)
        world.sleep(30.0)
    assert world.finished
    assert world.reason in ("DisruptionLimitExceeded", "BackoffLimitExceeded")


def test_an_image_that_is_missing_at_first_is_no_crash():
    world = World()
    world.pulls = "ImagePullBackOff"
    assert settle(world, 900) == 900
    assert world.reason == "ImagePullFailed"
    world.pulls = None
    settle(world)
    assert world.reason == "Succeeded"
    assert world.workflow is not None
    assert world.workflow.status.attempts == 1


def test_a_refused_pod_is_tried_until_it_is_taken():
    world = World()
    world.refusing = "spec.containers: Invalid value"
    settle(world, 50)
    assert world.reason == "PodRefused"
    world.refusing = None
    settle(world)
    assert world.reason == "Succeeded"


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("other", [False, True])
def test_an_emptied_store_repeats_nothing_until_a_person_says_so(asked, other):
    world = World()
    settle(world, 5)
    assert world.done_ever
    world.swap_store(None, OTHER_STORE if other else world.store.id)
    settle(world, 50)
    assert world.reason == "CheckpointsMissing"
    if asked:
        world.restarts_asked += 1
        world.annotate("yes")
    settle(world)
    assert world.reason == ("Succeeded" if asked else "CheckpointsMissing")


def test_a_second_loss_needs_a_second_word():
    world = World()
    settle(world, 4)
    world.swap_store(None, world.store.id)
    world.restarts_asked += 1
    world.annotate("yes")
    settle(world, 4)
    world.swap_store(None, UUID(int=99))
    settle(world, 50)
    assert world.reason == "CheckpointsMissing"


def test_a_deaf_process_is_cancelled_with_its_pod():
    world = World(steps=1000)
    settle(world, 5)
    [uid] = world.pods
    world.processes[uid].deaf = True
    world.change(cancel=True)
    settle(world, 60)
    assert world.reason == "Cancelled"


def until_told(world: World) -> Row:
    """Go on until a cancellation has reached the workflow."""
    row = world.store.row
    assert row is not None
    while CANCEL not in row.steps:
        assert settle(world, 1) == 1
    return row


def test_a_cancelled_run_cleans_up_and_goes_on_with_that_after_a_crash():
    world = World(steps=1000, cleanup=600.0)
    settle(world, 5)
    world.change(cancel=True, suspend=True)
    row = until_told(world)
    [uid] = world.pods
    world.crash(uid, reported=False)
    settle(world, 60)
    assert world.reason == "Cancelled"
    assert [row.steps[key] for key in (CANCEL, *UNDO)] == [1, 2, 2]


def test_a_cleanup_that_does_not_end_is_ended_with_its_pod():
    world = World(steps=1000, cleanup=60.0)
    settle(world, 5)
    world.change(cancel=True)
    row = until_told(world)
    [uid] = world.pods
    world.processes[uid].deaf = world.processes[uid].stuck = True
    settle(world, 40)
    assert not world.finished
    settle(world, 80)
    assert world.reason == "Cancelled"
    assert [key for key in UNDO if key in row.steps] == []


def test_suspended_and_resumed():
    world = World(steps=20)
    settle(world, 5)
    world.change(suspend=True)
    settle(world, 20)
    assert world.reason == "Suspended"
    assert kstatus(world.workflow) == "Current"
    world.change(suspend=False)
    settle(world)
    assert world.reason == "Succeeded"
    assert [one for one in world.events if one != "Resumed"] == ["Started", "Suspended", "Resuming", "Succeeded"]


def test_a_finished_workflow_goes_with_its_time():
    world = World(spec(ttl_seconds_after_finished=5))
    settle(world)
    world.sleep(6)
    world.watch(world.operators[0])
    world.reconcile(world.operators[0])
    assert world.workflow is None


@pytest.mark.parametrize("after", range(12))
@pytest.mark.parametrize("rounds", range(6))
def test_an_operator_that_dies_between_any_two_actions(after, rounds):
    world = World()
    settle(world, rounds)
    dying, heir = world.operators
    done = 0
    for _ in range(5):
        world.watch(dying)
        world.think(dying)
        while done < after and world.act(dying):
            done += 1
    dying.todo = []
    world.operators = [heir, replace(dying)]
    settle(world)
    assert world.reason == "Succeeded"
    assert world.workflow is not None
    assert world.workflow.status.attempts == 1
