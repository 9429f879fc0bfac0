"""A Workflow is observed, decided about and acted upon until it rests; what is irreversible rests on no stale read."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from perdure.store.runs.model import RunState
from perdure_operator.controller import reconciler as module
from perdure_operator.controller.cache import Cache, read_unsettled_workflow
from perdure_operator.controller.executor import Execution, Refusal
from perdure_operator.controller.reconciler import Reconciler
from perdure_operator.decide.actions import Action, ClaimRun, InsertRun, NoteImage, RequestCancel
from perdure_operator.decide.observed import Key, Observed, Policy
from perdure_operator.errors import Refused
from perdure_operator.kube import WORKFLOWS
from tests.unit.operator.controller.kube import Objects
from tests.unit.operator.decide.builders import STORE, claimed, run, token

KEY = Key("shop", "one")
UID = uuid4()


def body(uid: UUID = UID, version: int = 1, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "shop", "name": "one", "uid": str(uid), "resourceVersion": str(version), "generation": 1,
            "creationTimestamp": "2026-05-01T12:00:00Z",
        },
        "spec": {"entrypoint": "bank:transfer", "input": {}, **spec},
    }  # fmt: skip


class World:
    """A reconciler with a script in place of `decide`, and all that it touches in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache, self.kube = Cache(), Objects()
        self.kube.objects["workflows", "shop", "one"] = body()
        self.cache.saw_workflow(read_unsettled_workflow(body()))
        self.run: Any = None
        self.script: list[list[Action]] = []
        self.seen: list[Observed] = []
        self.done: list[Execution] = []
        self.applied: list[list[Action]] = []
        self.whole: list[bool] = []
        self.requeued: list[tuple[Key, float]] = []
        self.cancelled: list[UUID] = []
        self.refusal: str | None = None
        self.settled: list[bool] = []
        self.refusals: dict[UUID, Refusal] = {}
        monkeypatch.setattr(module, "decide", self._decide)

    def _decide(self, observed: Observed) -> list[Action]:
        self.seen.append(observed)
        return self.script.pop(0) if self.script else []

    async def _apply(self, _: Observed, actions: list[Action], whole: object) -> Execution:
        self.applied.append(actions)
        self.whole.append(whole is not None)
        return self.done.pop(0) if self.done else Execution()

    async def _observe(self, _: UUID) -> Any:
        return SimpleNamespace(run=self.run, store_id=STORE, other_owner=False)

    async def _cancel_gone(self, uid: UUID) -> RunState:
        self.cancelled.append(uid)
        return RunState.RUNNING

    async def _nothing(self, *_: object) -> None: ...

    async def _workflow(self, kube: Objects, namespace: str, name: str) -> Any:
        return await kube.get(WORKFLOWS, namespace, name)

    def reconcile(self, policy: Policy | None = None) -> None:
        def settle(_key: Key, _uid: UUID, *, held: bool) -> None:
            self.settled.append(held)

        made: Any = Reconciler
        reconciler = made(
            executor=SimpleNamespace(
                cache=self.cache,
                kube=self.kube,
                store=SimpleNamespace(observe=self._observe, cancel_gone=self._cancel_gone, mark_gone=self._nothing),
                capacity=SimpleNamespace(
                    refusal=lambda *_: self.refusal, wanted=lambda *_: False, settle=settle, wait=lambda *_: False
                ),
                refusals=self.refusals,
                budget=SimpleNamespace(forget=lambda _: None),
                instance=SimpleNamespace(workflow=self._workflow),
                apply=self._apply,
            ),
            failure_detector=SimpleNamespace(judged=lambda _, run: run, left_alone=lambda *_: None),
            run_metrics=SimpleNamespace(forget=lambda _: None, saw=self._nothing),
            requeue_after=lambda key, after: self.requeued.append((key, after)),
            preparation=60.0,
            start_patience=30.0,
            policy=policy or Policy(),
        )
        asyncio.run(reconciler.reconcile(KEY))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def asked(world: World, plural: str) -> int:
    return sum(call[:2] == ("get", plural) for call in world.kube.calls)


def test_one_that_rests_is_observed_once_and_looked_at_when_it_is_said(world: World) -> None:
    world.script, world.done = [[NoteImage(token(1), "x")]], [Execution(requeue_after=7.0)]
    world.reconcile()
    assert len(world.seen) == 1
    assert world.requeued == [(KEY, 7.0)]
    assert asked(world, "workflows") == 0
    assert (world.seen[0].store_id, world.seen[0].workflow.uid) == (STORE, UID)


def test_after_a_change_it_looks_again_until_nothing_is_left(world: World) -> None:
    world.done = [Execution(again=True), Execution(again=True)]
    world.reconcile()
    assert len(world.seen) == 3
    assert world.requeued == []


def test_one_that_never_settles_comes_again_later(world: World) -> None:
    world.done = [Execution(again=True) for _ in range(50)]
    world.reconcile()
    assert len(world.seen) == 10
    assert world.requeued == [(KEY, 1.0)]


def test_what_is_irreversible_rests_on_a_workflow_that_was_just_read(world: World) -> None:
    world.script, world.done = [[ClaimRun(0)], [RequestCancel()]], [Execution(again=True)]
    world.reconcile()
    assert asked(world, "workflows") == 1
    assert world.applied[:2] == [[ClaimRun(0)], [RequestCancel()]]


def test_a_stale_cache_decides_nothing(world: World) -> None:
    world.kube.objects["workflows", "shop", "one"] = body(version=2, suspend=True)
    world.script = [[ClaimRun(0)]]
    world.reconcile()
    assert world.applied == [[]]
    first, second = world.seen
    assert first.workflow.spec is not None
    assert second.workflow.spec is not None
    assert (first.workflow.spec.suspend, second.workflow.spec.suspend) == (False, True)


def test_who_starts_has_the_long_fields(world: World) -> None:
    world.script = [[InsertRun()]]
    world.reconcile()
    assert world.whole == [True]


def test_a_workflow_that_changed_during_a_write_is_read_again(world: World) -> None:
    world.done = [Execution(again=True, stale=True)]
    world.reconcile()
    assert asked(world, "workflows") == 1
    assert len(world.seen) == 2


def test_the_run_of_a_deleted_workflow_is_cancelled_once_a_read_confirms_it(world: World) -> None:
    world.cache.saw_workflow_gone(KEY, UID)
    world.reconcile()
    assert world.cancelled == []  # it is there, whatever an event said
    del world.kube.objects["workflows", "shop", "one"]
    world.cache.saw_workflow_gone(KEY, UID)
    world.reconcile()
    assert world.cancelled == [UID]
    assert world.settled[-1] is False


def test_a_pod_that_the_cache_lacks_is_looked_for_before_it_counts_as_gone(world: World) -> None:
    world.run = claimed()
    world.reconcile()
    assert asked(world, "pods") == 1
    assert world.seen[0].pod_gone


@pytest.mark.parametrize(
    ("found", "files", "problem"),
    [
        ({"data": {"bank.py": "x"}}, {"bank.py": "x"}, None),
        ({"data": {}}, None, "it has no file under data"),
        ({"binaryData": {"a": "b"}}, None, "binaryData is not read"),
        ({"data": {f"f{n}.py": "" for n in range(1001)}}, None, "it has 1001 files, and 1000 are the most"),
        (None, None, "there is no ConfigMap 'code'"),
        (Refused("get configmaps", "forbidden"), None, "the operator may not read it: forbidden"),
    ],
)
def test_the_source_is_read_for_a_run_that_is_to_be_inserted(
    world: World, found: Any, files: object, problem: str | None
) -> None:
    world.cache.saw_workflow(read_unsettled_workflow(body(version=2, source={"configMap": {"name": "code"}})))
    if isinstance(found, Exception):
        world.kube.fail("get", found)
    elif found is not None:
        world.kube.objects["configmaps", "shop", "code"] = found
    world.reconcile()
    assert world.seen[0].source == files
    assert (problem or "") in (world.seen[0].source_problem or "")
    assert (world.seen[0].source_problem is None) is (problem is None)


def test_where_nothing_starts_no_source_is_read(world: World) -> None:
    world.cache.saw_workflow(read_unsettled_workflow(body(version=2, source={"configMap": {"name": "code"}})))
    world.reconcile(Policy(barred_namespace="shop"))
    assert asked(world, "configmaps") == 0


@pytest.mark.parametrize(("attempt", "told"), [(1, "quota"), (2, None)])
def test_a_refused_pod_is_told_of_its_own_attempt_alone(world: World, attempt: int, told: str | None) -> None:
    world.refusals[UID] = Refusal(1, "quota", 0.0, 1)
    world.run = run(attempt=attempt)
    world.reconcile()
    assert world.seen[0].refused == told
    assert (UID in world.refusals) is (told is not None)


@pytest.mark.parametrize(("found", "held"), [(claimed(), True), (run(), False), (run(RunState.SUCCEEDED), False)])
def test_who_holds_a_claim_holds_a_place(world: World, found: Any, held: bool) -> None:
    world.run = found
    world.reconcile()
    assert world.settled == [held]


def test_an_error_of_a_call_is_for_the_queue(world: World) -> None:
    world.script = [[ClaimRun(0)]]
    world.kube.fail("get", Refused("get workflows", "forbidden"))
    with pytest.raises(Refused):
        world.reconcile()
    assert world.applied == []


def test_of_an_unknown_name_nothing_is_asked(world: World) -> None:
    world.cache = Cache()
    world.reconcile()
    assert world.kube.calls == []
