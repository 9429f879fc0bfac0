"""What each action does to the store and the API server, and which failure ends the list of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure_operator.api.pod import PodSettings
from perdure_operator.controller.cache import Cache, seen_of
from perdure_operator.controller.executor import Execution, Executor, Refusals
from perdure_operator.controller.instances import Instance
from perdure_operator.decide.actions import (
    ClaimRun,
    CreatePod,
    DeletePod,
    DeleteWorkflow,
    EndRun,
    InsertRun,
    NoteImage,
    PostEvent,
    ReleaseRun,
    RequestCancel,
    RequeueAfter,
    SetLimits,
    WriteStatus,
)
from perdure_operator.errors import Conflict, NotFound, Refused, Unavailable
from tests.unit.operator.controller.kube import Objects
from tests.unit.operator.decide.builders import LIMITS, UID, claimed, observed, pod, started, token, workflow

CLAIM = token(1)


class Store:
    """Notes each call; a test says what it answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {"claim": CLAIM}

    def __getattr__(self, name: str) -> Any:
        async def call(*told: object, **more: object) -> Any:
            self.calls.append((name, *told, *more.values()))
            return self.answers.get(name, True)

        return call


class Capacity:
    full = False

    def take(self, *_: object) -> bool:
        return not self.full

    def give_way(self, *_: object) -> bool:
        return not self.full


class Budget:
    left = 0.0
    writes = 0

    def wait(self, _: object) -> float:
        return self.left

    def written(self, _: object) -> None:
        self.writes += 1


class Events:
    def __init__(self) -> None:
        self.posted: list[str] = []

    async def post(self, _: object, event: PostEvent) -> None:
        self.posted.append(event.reason)


class World:
    """An executor and all that it touches."""

    def __init__(self) -> None:
        self.kube, self.store, self.cache = Objects(), Store(), Cache()
        self.capacity, self.budget, self.events = Capacity(), Budget(), Events()
        self.refusals: Refusals = {}
        self.gave_way: list[tuple[str, str]] = []
        made: Any = Executor
        self.executor = made(
            kube=self.kube,
            store=self.store,
            cache=self.cache,
            capacity=self.capacity,
            budget=self.budget,
            events=self.events,
            refusals=self.refusals,
            pods=PodSettings(database="postgresql://store/perdure", runtime_image="perdure:1"),
            instance=Instance(),
            gave_way=lambda namespace, what: self.gave_way.append((namespace, what)),
            clock=lambda: 100.0,
        )
        self.workflow = workflow(status=started(), resource_version="7")
        self.cache.saw_workflow(seen_of(self.workflow))
        self.kube.objects["workflows", "shop", "transfer-17"] = {
            "metadata": {"name": "transfer-17", "namespace": "shop", "uid": str(UID), "resourceVersion": "8"},
            "spec": {"entrypoint": "bank:transfer"},
        }

    def apply(self, *actions: Any, **more: Any) -> Execution:
        seen = observed(workflow=self.workflow, **more)
        return asyncio.run(self.executor.apply(seen, actions, self.workflow))


@pytest.fixture
def world() -> World:
    return World()


def names(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [call[0] for call in calls]


@pytest.mark.parametrize(
    ("action", "call"),
    [
        (SetLimits(LIMITS), ("set_limits", UID, LIMITS)),
        (RequestCancel(at_once=True), ("request_cancel", UID, True)),
        (EndRun("a:B", "no"), ("end_run", UID, "a:B", "no")),
        (ReleaseRun(CLAIM, AttemptEnd.CRASHED, "dead", 1, None), ("release_run", UID, CLAIM, AttemptEnd.CRASHED)),
    ],
)
def test_what_changes_the_run_is_one_call_after_which_one_looks_again(
    world: World, action: Any, call: tuple[Any, ...]
) -> None:
    done = world.apply(action)
    assert done.again
    assert [one[: len(call)] for one in world.store.calls] == [call]


def test_an_image_is_noted_without_looking_again(world: World) -> None:
    done = world.apply(NoteImage(CLAIM, "perdure@sha256:1"), RequeueAfter(9.0), RequeueAfter(5.0), RequeueAfter(7.0))
    assert (done.again, done.requeue_after) == (False, 5.0)
    assert names(world.store.calls) == ["note_image"]


def test_a_run_is_inserted_with_its_source(world: World) -> None:
    world.apply(InsertRun(), source={"bank.py": "x"})
    world.apply(InsertRun())
    assert [call[2] for call in world.store.calls] == [{"bank.py": "x"}, None]


def test_a_claim_needs_a_place_first(world: World) -> None:
    assert world.apply(ClaimRun(0)).claimed == CLAIM
    world.capacity.full = True
    done = world.apply(ClaimRun(0), SetLimits(LIMITS))
    assert (done.claimed, done.again) == (None, True)
    assert names(world.store.calls) == ["claim"]


def test_the_first_that_does_not_take_effect_ends_the_list(world: World) -> None:
    world.store.answers["claim"] = None
    done = world.apply(ClaimRun(0), PostEvent("Started", "x", warning=False))
    assert done.claimed is None
    assert world.events.posted == []


def test_who_cannot_start_gives_way_only_while_somebody_waits(world: World) -> None:
    release = ReleaseRun(CLAIM, AttemptEnd.COULD_NOT_START, "no image", None, None)
    world.capacity.full = True
    world.apply(release)
    assert world.store.calls == []
    world.capacity.full = False
    done = world.apply(release, run=claimed(), pods=[])
    assert names(world.store.calls) == ["release_run"]
    assert done.gave_way is bool(world.gave_way)


def test_a_status_is_written_at_the_version_that_was_read(world: World) -> None:
    done = world.apply(WriteStatus(started(), soon=False))
    assert not done.again
    [body] = world.kube.bodies
    assert body["metadata"] == {"name": "transfer-17", "uid": str(UID), "resourceVersion": "7"}
    assert world.budget.writes == 1
    assert world.cache.seen(world.workflow.key).version == "8"  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [Conflict("apply", "newer"), NotFound("apply", "gone")])
def test_a_workflow_that_has_changed_is_to_be_read_again(world: World, error: Exception) -> None:
    world.kube.fail("apply_status", error)
    done = world.apply(WriteStatus(started(), soon=False), SetLimits(LIMITS))
    assert (done.stale, done.again) == (True, True)
    assert world.store.calls == []


def test_a_status_that_may_wait_waits_for_its_budget(world: World) -> None:
    world.budget.left = 3.0
    done = world.apply(WriteStatus(started(), soon=True), NoteImage(CLAIM, "x"))
    assert done.requeue_after == 3.0
    assert world.kube.calls == []
    assert names(world.store.calls) == ["note_image"]


def test_a_pod_is_created_and_known_at_once(world: World) -> None:
    world.refusals[UID] = None  # type: ignore[assignment]
    done = world.apply(CreatePod(1, CLAIM))
    assert (done.made, done.again) == (CLAIM, True)
    assert [one.claim for one in world.cache.pods(world.workflow.key, UID)] == [CLAIM]
    assert world.refusals == {}


def test_a_pod_that_is_there_already_is_taken(world: World) -> None:
    world.apply(CreatePod(1, CLAIM))
    assert world.apply(CreatePod(1, CLAIM)).made == CLAIM
    [pod_object] = [one for key, one in world.kube.objects.items() if key[0] == "pods"]
    pod_object["metadata"]["ownerReferences"] = []
    assert world.apply(CreatePod(1, CLAIM)).made is None
    assert "is not this Workflow's: delete it" in world.refusals[UID].said


@pytest.mark.parametrize("error", [Refused("create pods", "quota"), NotFound("create pods", "no namespace")])
def test_a_refused_pod_is_remembered_with_its_reason(world: World, error: Any) -> None:
    world.kube.fail("create", error)
    done = world.apply(CreatePod(3, CLAIM), SetLimits(LIMITS))
    assert done.again
    refusal = world.refusals[UID]
    assert (refusal.attempt, refusal.said, refusal.at) == (3, error.said, 100.0)
    assert world.store.calls == []


def test_a_deleted_pod_is_gone_whoever_deleted_it(world: World) -> None:
    world.apply(CreatePod(1, CLAIM))
    [seen] = world.cache.pods(world.workflow.key, UID)
    world.kube.fail("delete", NotFound("delete", "gone"))
    world.apply(DeletePod(seen))
    assert world.cache.pods(world.workflow.key, UID) == []


def test_a_workflow_is_deleted_unless_it_is_another_by_now(world: World) -> None:
    assert not world.apply(DeleteWorkflow(UID)).stale
    assert world.kube.calls == [("delete", "workflows", "transfer-17")]
    world.kube.fail("delete", Conflict("delete", "another UID"))
    assert world.apply(DeleteWorkflow(UID)).stale


def test_an_error_of_a_call_is_raised(world: World) -> None:
    world.kube.fail("create", Unavailable("create pods", "away"))
    with pytest.raises(Unavailable):
        world.apply(CreatePod(1, CLAIM), SetLimits(LIMITS))
    assert world.store.calls == []


def test_the_earliest_look_counts() -> None:
    done = Execution()
    for after in (5.0, 3.0, 4.0):
        done.look(after)
    assert done.requeue_after == 3.0


def test_the_observed_pod_is_what_is_deleted(world: World) -> None:
    world.apply(DeletePod(replace(pod(), name="transfer-17-x")))
    assert world.kube.calls == [("delete", "pods", "transfer-17-x")]
