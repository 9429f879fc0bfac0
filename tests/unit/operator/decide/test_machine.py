"""Random stories: everything that can happen, in any order, between any two actions of two operators.

What must hold always: no finished step runs again unasked, no claim begins twice, an end stays, nothing is claimed in a
store that the status does not rest on. And once the faults stop, every run ends, or its status says what it waits for.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure_operator.decide.observed import PodPhase
from tests.harness.scale import SCALE
from tests.unit.operator.decide.builders import decide, spec
from tests.unit.operator.decide.kstatus import kstatus
from tests.unit.operator.decide.model_store import Row
from tests.unit.operator.decide.world import AGAIN, Operator, World

operators = st.sampled_from([0, 1])
which = st.integers(0, 3)

POD_FAULTS = [
    "process dies",
    "all dies",
    "all dies and the kubelet tells",
    "deleted",
    "deleted at once",
    "evicted",
    "node gone",
    "collected",
    "node back",
    "deaf",
]


class Stories(RuleBasedStateMachine):
    """One Workflow, two operators, and fate."""

    world: World
    backup: Row | None

    @initialize(
        steps=st.integers(0, 12),
        limit=st.integers(0, 4),
        deadline=st.sampled_from([None, None, 40, 4000]),
        cleanup=st.sampled_from([None, None, 40.0, 300.0]),
        rounds=st.integers(0, 8),
    )
    def begin(self, steps: int, limit: int, deadline: int | None, cleanup: float | None, rounds: int) -> None:
        self.world = World(spec(backoff_limit=limit, active_deadline_seconds=deadline), steps, cleanup)
        self.backup = None
        for _ in range(rounds):
            self._everybody(0)

    def _everybody(self, number: int) -> None:
        """An operator with a good view, and everybody after it, do what is next."""
        self.world.watch(self.world.operators[number])
        self.world.reconcile(self.world.operators[number], skip_soon=bool(number))
        for uid in sorted(self.world.pods):
            self.world.kubelet(uid)
            self.world.process(uid)

    # What is meant to happen.

    @rule(number=operators, rounds=st.integers(1, 3))
    def go_on(self, number: int, rounds: int) -> None:
        for _ in range(rounds):
            self._everybody(number)

    @rule(number=operators)
    def reconcile(self, number: int) -> None:
        self.world.watch(self.world.operators[number])
        self.world.reconcile(self.world.operators[number], skip_soon=bool(number))

    @rule(number=which, times=st.integers(0, 3))
    def work(self, number: int, times: int) -> None:
        """A pod gets further, and no operator hears of it."""
        if (uid := self._uid(number)) is not None:
            self.world.kubelet(uid)
            for _ in range(times):
                self.world.process(uid)

    @rule(seconds=st.sampled_from([0.5, 7.0, 35.0, 700.0]))
    def sleep(self, seconds: float) -> None:
        self.world.sleep(seconds)

    # Operators that know too little, stop in the middle, or are two.

    @rule(number=operators, watch=st.booleans(), acts=st.integers(0, 4))
    def think(self, number: int, watch: bool, acts: int) -> None:
        operator = self.world.operators[number]
        if watch:
            self.world.watch(operator)
        self.world.think(operator)
        for _ in range(acts):
            self.world.act(operator)

    @rule(number=operators, times=st.integers(1, 3))
    def act(self, number: int, times: int) -> None:
        for _ in range(times):
            self.world.act(self.world.operators[number])

    @rule(number=operators, done=st.booleans())
    def crash_of_an_operator(self, number: int, done: bool) -> None:
        """It dies before its next action, or after it and before it learns what came of it."""
        if done:
            self.world.act(self.world.operators[number])
        self.world.operators[number] = Operator()

    # Faults.

    def _uid(self, number: int) -> str | None:
        uids = sorted(self.world.pods)
        return uids[-1 - number % len(uids)] if uids else None

    @rule(number=which, fault=st.sampled_from(POD_FAULTS))
    def pod_fault(self, number: int, fault: str) -> None:
        if (uid := self._uid(number)) is None:
            return
        world, pod, process = self.world, self.world.pods[uid], self.world.processes[uid]
        match fault:
            case "process dies":
                world.crash(uid, reported=True)
            case "all dies":
                world.crash(uid, reported=False)
            case "all dies and the kubelet tells":
                world.crash(uid, reported=False)
                world.kubelet(uid)
            case "deleted":
                world.delete_pod(uid)
            case "deleted at once":
                world.delete_pod(uid, at_once=True)
            case "evicted" if not pod.over:
                world.pods[uid] = replace(pod, disrupted="Evicted: the node was low on memory")
                world.delete_pod(uid)
            case "node gone":
                world.node_gone(uid)
            case "collected":
                world.collect(uid)
            case "node back" if process.frozen:
                process.frozen, process.silent_since = False, None
            case "deaf":
                process.deaf = True
            case _:
                pass

    @rule(words=st.sampled_from([None, "spec: Invalid value", "exceeded quota", "it is being terminated"]))
    def refusing(self, words: str | None) -> None:
        self.world.refusing = words

    @rule(
        pulls=st.sampled_from([None, "ImagePullBackOff"]),
        places=st.booleans(),
        capacity=st.sampled_from([None, "50 of 50 runs are active"]),
    )
    def shortage(self, pulls: str | None, places: bool, capacity: str | None) -> None:
        self.world.pulls, self.world.places, self.world.capacity = pulls, places, capacity

    # People.

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.world.change(suspend=suspend)

    @rule(limit=st.integers(0, 3), seconds=st.sampled_from([None, 30, 4000]))
    def limits(self, limit: int, seconds: int | None) -> None:
        self.world.change(backoff_limit=limit, active_deadline_seconds=seconds)

    @precondition(lambda self: self.world.now > 20)
    @rule(deleting=st.booleans())
    def end(self, deleting: bool) -> None:
        if deleting:
            self.world.delete_workflow()
        else:
            self.world.change(cancel=True)

    @rule()
    def restart(self) -> None:
        if self.world.workflow is not None and self.world.reason == "CheckpointsMissing":
            self.world.sleep(1.0)
            self.world.restarts_asked += 1
            self.world.annotate(f"restart {self.world.restarts_asked}")

    # The store.

    @rule()
    def back_up(self) -> None:
        self.backup = self.world.store.clone()

    @rule(other=st.booleans())
    def empty(self, other: bool) -> None:
        if self._shows(None):
            self.world.swap_store(None, UUID(int=self.world.store.id.int + 1) if other else self.world.store.id)

    @rule()
    def restore(self) -> None:
        if self._shows(self.backup):
            self.world.swap_store(copy.deepcopy(self.backup), self.world.store.id)

    def _shows(self, row: Row | None) -> bool:
        """Whether the API server knows enough to tell that a store has become an older one. Else nobody could."""
        world = self.world
        status = None if world.workflow is None else world.workflow.status
        if status is None or status.store_id != world.store.id or world.store.row is None:
            return False
        if row is None or world.finished:
            return True
        newest = max((pod.attempt for pod in world.pods.values() if pod.created >= world.started), default=0)
        steps_show = row.claim is None and status.steps_completed > len(row.steps)
        return not row.state.ended and (steps_show or max(status.attempts, newest) > row.attempt)

    # What holds.

    @invariant()
    def nothing_is_violated(self) -> None:
        if hasattr(self, "world"):
            assert not self.world.violations, self.world.violations

    @invariant()
    def deciding_comes_to_rest(self) -> None:
        if hasattr(self, "world"):
            assert self.world.rounds == 0

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self._peace()

    def _peace(self) -> None:
        """No faults any more: everybody does what is next, until the end or a wait that is a person's to end."""
        world = self.world
        world.capacity = world.refusing = world.pulls = None
        world.places = True
        operator = world.operators[0]
        for _ in range(4000):
            world.watch(operator)
            world.reconcile(operator)
            assert not world.violations, world.violations
            assert world.rounds == 0
            if self._rests():
                break
            for uid in sorted(world.pods):
                process = world.processes[uid]
                if process.frozen:
                    if world.pods[uid].phase is not PodPhase.PENDING:
                        world.collect(uid)
                    continue
                world.kubelet(uid)
                world.process(uid)
                world.kubelet(uid)
            world.sleep(2.0)
        assert self._rests(), (world.reason, world.store.row, world.pods)
        self._nothing_is_left_to_say()

    def _rests(self) -> bool:
        world = self.world
        if world.workflow is None or world.finished:
            return True
        if world.workflow.deleting:
            return world.store.row is None or world.store.row.state.ended
        if world.reason == "Suspended":
            return world.workflow.spec is not None and world.workflow.spec.suspend
        return self._doubtful()

    def _doubtful(self) -> bool:
        return self.world.reason == "CheckpointsMissing"

    def _nothing_is_left_to_say(self) -> None:
        world = self.world
        if world.workflow is None or world.workflow.deleting:
            return
        read = kstatus(world.workflow)
        expected = {"Succeeded": "Current", "Suspended": "Current"}.get(str(world.reason), "Failed")
        assert read == expected
        operator = world.operators[0]
        world.watch(operator)
        world.think(operator)
        assert not any(isinstance(action, AGAIN) for action in self._but_pods(decide(operator.seen)))

    @staticmethod
    def _but_pods(actions: list[Any]) -> list[Any]:
        return [action for action in actions if type(action).__name__ != "DeletePod"]


TestStories = Stories.TestCase
TestStories.settings = settings(
    max_examples=300 * SCALE, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
