"""Actions on a local run: in the store, and on this command's process for it."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.errors import StoreError
from perdure.local.display import PlainDisplay
from perdure.local.interactive import Interrupted
from perdure_operator.decide.actions import ClaimRun, CreatePod, EndRun, InsertRun, ReleaseRun, RequestCancel, SetLimits
from perdure_operator.local.executor import AnotherRun, LocalExecutor
from tests.unit.operator.decide.builders import LIMITS, UID, claimed, observed, token

CLAIM = token(1)


class Calls:
    """Notes each call of a store, sync or async."""

    def __init__(self, *, is_async: bool, **answers: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answers = answers
        self._is_async = is_async

    def __getattr__(self, name: str) -> Any:
        def call(*told: object, **more: object) -> Any:
            self.calls.append((name, *told, *more.values()))
            return self.answers.get(name, True)

        async def later(*told: object, **more: object) -> Any:
            return call(*told, **more)

        return later if self._is_async else call


class Pods:
    alive = False

    def __init__(self) -> None:
        self.started: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    def start(self, *told: Any) -> None:
        if self.error is not None:
            raise self.error
        self.started.append(told)


class World:
    """An executor and all that it touches."""

    def __init__(self) -> None:
        self.store = Calls(is_async=True, claim=CLAIM)
        self.runs = Calls(is_async=False, insert_manifest=SimpleNamespace(run_id=UID))
        self.pods, self.stops, self.screen = Pods(), SimpleNamespace(count=0), io.StringIO()
        made: Any = LocalExecutor
        self.executor = made(
            store=self.store,
            runs=self.runs,
            ask=asyncio.run,
            pods=self.pods,
            variables={"A": "b"},
            display=PlainDisplay("x", self.screen),
            stops=self.stops,
        )

    def change(self, action: Any, **more: Any) -> bool:
        return bool(self.executor.change(observed(**more), action))


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("action", "call"),
    [
        (SetLimits(LIMITS), ("set_limits", UID, LIMITS)),
        (RequestCancel(at_once=True), ("request_cancel", UID, True)),
        (EndRun("a:B", "no"), ("end_run", UID, "a:B", "no")),
    ],
)
def test_what_changes_the_run_is_a_call_of_the_store(world: World, action: Any, call: tuple[Any, ...]) -> None:
    assert world.change(action)
    assert world.store.calls == [call]


def test_a_release_is_told(world: World) -> None:
    assert world.change(ReleaseRun(CLAIM, AttemptEnd.CRASHED, "killed", None, 9), run=claimed(2))
    assert world.store.calls == [("release_run", UID, CLAIM, AttemptEnd.CRASHED, "killed", None, 9)]
    assert "attempt 2 ended (crashed): killed" in world.screen.getvalue()


def test_a_run_is_inserted_unless_another_command_was_faster(world: World) -> None:
    assert world.change(InsertRun(), source={"bank.py": "x"})
    assert world.executor.inserted
    world.runs.answers["insert_manifest"] = SimpleNamespace(run_id=uuid4())
    with pytest.raises(AnotherRun):
        world.change(InsertRun())


def test_a_claim_is_noted_with_who_made_it(world: World) -> None:
    assert world.change(ClaimRun(0))
    assert world.executor.claimed == CLAIM
    assert world.runs.calls[0][:3] == ("note_claimer", UID, CLAIM)


def test_nothing_is_claimed_while_a_process_of_ours_is_about_to_end(world: World) -> None:
    world.pods.alive = True
    assert not world.change(ClaimRun(0))
    assert world.store.calls == []


def test_a_claim_that_another_made_is_none(world: World) -> None:
    world.store.answers["claim"] = None
    assert not world.change(ClaimRun(0))
    assert world.executor.claimed is None
    assert world.runs.calls == []


def test_the_process_gets_what_names_its_attempt(world: World) -> None:
    world.change(ClaimRun(0))
    assert world.change(CreatePod(1, CLAIM))
    [(name, attempt, claim, environment)] = world.pods.started
    assert (attempt, claim) == (1, CLAIM)
    assert environment == {
        "A": "b", "PERDURE_RUN_ID": str(UID), "PERDURE_CLAIM": str(CLAIM), "PERDURE_POD_NAME": name,
    }  # fmt: skip
    assert (world.executor.claimed, world.executor.started) == (None, True)


def test_a_process_that_does_not_start_is_an_error_of_the_attempt(world: World) -> None:
    world.pods.error = OSError("no memory")
    with pytest.raises(StoreError, match="the process of attempt 1 cannot be started: no memory"):
        world.change(CreatePod(1, CLAIM))


@pytest.mark.parametrize("action", [ClaimRun(0), CreatePod(1, CLAIM)])
def test_once_told_to_stop_it_starts_nothing(world: World, action: Any) -> None:
    world.stops.count = 1
    with pytest.raises(Interrupted):
        world.change(action)
    assert world.store.calls == world.pods.started == []
