"""How often statuses may only count steps."""

from __future__ import annotations

from uuid import uuid4

from perdure_operator.controller.status_budget import StatusBudget


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_each_may_once_in_its_time_whatever_else_was_written():
    clock, uid = Clock(), uuid4()
    budget = StatusBudget(clock, every=30)
    assert budget.wait(uid) == 0
    budget.written(uid)
    clock.now += 10
    assert budget.wait(uid) == 20
    clock.now += 20
    assert budget.wait(uid) == 0


def test_all_together_have_one_budget():
    clock = Clock()
    budget = StatusBudget(clock, rate=2, burst=3)
    assert [budget.wait(uuid4()) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    clock.now += 1
    assert [budget.wait(uuid4()) for _ in range(3)] == [0, 0, 0.5]
