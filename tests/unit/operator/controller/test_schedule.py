"""The queue's rules, against a model of them that keeps no order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from perdure_operator.controller.schedule import Schedule

KEYS = st.sampled_from("abcd")
DELAYS = st.floats(0.1, 10)


def test_keys_come_in_the_order_in_which_they_were_added():
    schedule = Schedule[str]()
    for key in "bac":
        schedule.add(key, 0)
    assert [schedule.take(1) for _ in range(3)] == [("b", 1), ("a", 1), ("c", 1)]


def test_of_two_times_the_earlier_counts():
    schedule = Schedule[str]()
    schedule.add_at("a", 5)
    schedule.add_at("a", 2)
    schedule.add_at("a", 9)
    assert schedule.next_at() == 2
    assert schedule.take(1.9) is None
    assert schedule.take(3) == ("a", 1)
    schedule.done("a")
    assert schedule.next_at() is None


def test_a_key_that_is_held_comes_at_its_time_whoever_adds_it():
    schedule = Schedule[str]()
    schedule.add("a", 0)
    schedule.take(0)
    schedule.add("a", 0)  # heard of while it was worked on
    schedule.hold("a", 7)
    schedule.done("a")
    assert not schedule.add("a", 3)
    schedule.add_at("a", 4)
    assert schedule.take(6.9) is None
    assert schedule.next_at() == 7
    assert schedule.take(7) == ("a", 0)
    schedule.done("a")
    assert schedule.add("a", 8), "it is held no more"


def test_a_key_says_how_long_it_was_due_also_when_it_waited_for_work_on_itself():
    schedule = Schedule[str]()
    schedule.add("a", 1)
    assert schedule.take(4) == ("a", 3)
    schedule.add("a", 5)
    schedule.done("a")
    assert schedule.take(7) == ("a", 2)


class Rules(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.schedule = Schedule[str]()
        self.now = 0.0
        self.due: set[str] = set()
        self.running: set[str] = set()
        self.later: dict[str, float] = {}

    @rule(key=KEYS)
    def add(self, key):
        assert self.schedule.add(key, self.now) == (key not in self.due)
        self.due.add(key)

    @rule(key=KEYS, delay=DELAYS)
    def add_later(self, key, delay):
        self.schedule.add_at(key, self.now + delay)
        self.later[key] = min(self.now + delay, self.later.get(key, self.now + delay))

    @rule(delay=DELAYS)
    def wait(self, delay):
        self.now += delay

    @rule()
    def take(self):
        for key in [key for key, at in self.later.items() if at <= self.now]:
            self.due.add(key)
            del self.later[key]
        taken = self.schedule.take(self.now)
        assert (taken is not None) == bool(self.due - self.running)
        if taken is not None:
            key, waited = taken
            assert key in self.due - self.running
            assert waited >= 0
            self.due.discard(key)
            self.running.add(key)
            self.later.pop(key, None)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def done(self, data):
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(key)
        self.schedule.done(key)

    @invariant()
    def agrees(self):
        if hasattr(self, "schedule"):
            assert set(self.schedule.running) == self.running
            assert self.schedule.next_at() == min(self.later.values(), default=None)
            assert self.schedule.planned == len(self.later)


TestRules = Rules.TestCase
