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

from tests.harness.scale import SCALE
from tests.unit.operator.decide.builders import decide, spec
from tests.unit.operator.decide.kstatus import kstatus
from tests.unit.operator.decide.model_store import Row
from tests.unit.operator.decide.world import AGAIN, Operator, World

operators = st.sampled_from([0, 1])
which = st.integers(0, 3)


class Stories(RuleBasedStateMachine):
    """One Workflow, two operators, and fate."""

    world: World
    backup: Row | None

    @initialize(steps=st.integers(0, 4), limit=st.integers(0, 3), deadline=st.sampled_from([None, 40, 4000]))
    def begin(self, steps: int, limit: int, deadline: int | None) -> None:
        self.world = World(spec(backoff_limit=limit, active_deadline_seconds=deadline), steps)
        self.backup = None

    # Operators.

    @rule(number=operators)
    def reconcile(self, number: int) -> None:
        operator = self.world.operators[number]
        self.world.watch(operator)
        self.world.reconcile(operator, skip_soon=bool(number))

    @rule(number=operators)
    def watch(self, number: int) -> None:
        self.world.watch(self.world.operators[number])

    @rule(number=operators)
    def think(self, number: int) -> None:
        self.world.think(self.world.operators[number])

    @rule(number=operators, times=st.integers(1, 3))
    def act(self, number: int, times: int) -> None:
        for _ in range(times):
            self.world.act(self.world.operators[number])

    @rule(number=operators)
    def crash_of_an_operator(self, number: int) -> None:
        self.world.operators[number] = Operator()

    @rule(number=operators)
    def lost_answer(self, number: int) -> None:
        """The next action is done, but its operator does not learn that."""
        operator = self.world.operators[number]
        if operator.todo:
            self.world.act(operator)
            operator.todo = []

    # Pods and processes.

    def _uid(self, number: int) -> str | None:
        uids = sorted(self.world.pods)
        return uids[number % len(uids)] if uids else None

    @rule(number=which)
    def kubelet(self, number: int) -> None:
        if (uid := self._uid(number)) is not None:
            self.world.kubelet(uid)

    @rule(number=which, times=st.integers(1, 3))
    def process(self, number: int, times: int) -> None:
        for _ in range(times):
            if (uid := self._uid(number)) is not None:
                self.world.process(uid)

    @rule(number=which)
    def start(self, number: int) -> None:
        if (uid := self._uid(number)) is not None:
            self.world.kubelet(uid)
            self.world.process(uid)

    @rule(number=which, reported=st.booleans())
    def crash(self, number: int, reported: bool) -> None:
        if (uid := self._uid(number)) is not None:
            self.world.crash(uid, reported=reported)

    @rule(number=which, at_once=st.booleans())
    def delete_pod(self, number: int, at_once: bool) -> None:
        if (uid := self._uid(number)) is not None:
            self.world.delete_pod(uid, at_once=at_once)

    @rule(number=which)
    def evict(self, number: int) -> None:
        if (uid := self._uid(number)) is not None and not self.world.pods[uid].over:
            self.world.pods[uid] = replace(self.world.pods[uid], disrupted="Evicted: the node was low on memory")
            self.world.delete_pod(uid)

    @rule(number=which)
    def node_gone(self, number: int) -> None:
        if (uid := self._uid(number)) is not None:
            self.world.node_gone(uid)

    @rule(number=which)
    def node_back(self, number: int) -> None:
        uid = self._uid(number)
        if uid is not None and self.world.processes[uid].frozen:
            self.world.processes[uid].frozen = False
            self.world.processes[uid].silent_since = None

    @rule(number=which)
    def collect(self, number: int) -> None:
        if (uid := self._uid(number)) is not None:
            self.world.collect(uid)

    @rule(number=which)
    def deaf(self, number: int) -> None:
        if (uid := self._uid(number)) is not None:
            self.world.processes[uid].deaf = True

    # People, time, other runs.

    @rule(seconds=st.sampled_from([0.5, 7.0, 35.0, 700.0]))
    def sleep(self, seconds: float) -> None:
        self.world.sleep(seconds)

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.world.change(suspend=suspend)

    @rule(limit=st.integers(0, 3))
    def limit(self, limit: int) -> None:
        self.world.change(backoff_limit=limit)

    @rule(seconds=st.sampled_from([None, 30, 4000]))
    def deadline(self, seconds: int | None) -> None:
        self.world.change(active_deadline_seconds=seconds)

    @precondition(lambda self: self.world.now > 20)
    @rule()
    def cancel(self) -> None:
        self.world.change(cancel=True)

    @precondition(lambda self: self.world.now > 40)
    @rule()
    def delete(self) -> None:
        self.world.delete_workflow()

    @rule(capacity=st.sampled_from([None, "50 of 50 runs are active"]))
    def capacity(self, capacity: str | None) -> None:
        self.world.capacity = capacity

    @rule(words=st.sampled_from([None, "spec: Invalid value", "exceeded quota", "it is being terminated"]))
    def refusing(self, words: str | None) -> None:
        self.world.refusing = words

    @rule(pulls=st.sampled_from([None, "ImagePullBackOff"]), places=st.booleans())
    def nodes(self, pulls: str | None, places: bool) -> None:
        self.world.pulls, self.world.places = pulls, places

    # The store.

    @rule()
    def back_up(self) -> None:
        self.backup = self.world.store.clone()

    @rule(other=st.booleans())
    def empty(self, other: bool) -> None:
        if self._shows(None) or self.world.store.row is None:
            self.world.swap_store(None, UUID(int=self.world.store.id.int + 1) if other else self.world.store.id)

    @rule()
    def restore(self) -> None:
        if self._shows(self.backup):
            self.world.swap_store(copy.deepcopy(self.backup), self.world.store.id)

    def _shows(self, row: Row | None) -> bool:
        """Whether the status knows enough to tell that a store has become an older one. Else nobody could."""
        status = None if self.world.workflow is None else self.world.workflow.status
        now = self.world.store.row
        if status is None or now is None:
            return False
        if row is None or self.world.finished:
            return status.store_id is not None
        return status.steps_completed > len(row.steps) and row.claim is None

    @rule()
    def restart(self) -> None:
        if self.world.workflow is not None and self.world.reason == "CheckpointsMissing":
            self.world.sleep(1.0)
            self.world.restarts_asked += 1
            self.world.annotate(f"restart {self.world.restarts_asked}")

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
            row = world.store.row
            return (
                row is None or row.state.ended or world.workflow.status.store_id != world.store.id or self._doubtful()
            )
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
    max_examples=120 * SCALE, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
