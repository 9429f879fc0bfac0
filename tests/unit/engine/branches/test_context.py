"""Where the calling code is decides what a step call is: a call of the run, a plain call, or an error."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import pytest

from perdure import step_context
from perdure.engine.branches.branch import Branch
from perdure.engine.branches.context import CURRENT, StepContext, branch_here
from perdure.errors import Released, StepCallError, UsageError
from tests.unit.engine.attempts import first_attempt


@pytest.fixture
def branch() -> Branch:
    """The main branch of an attempt, in this thread."""
    made = Branch(first_attempt(number=3))
    made.settle_here()
    return made


@pytest.fixture
def step(branch: Branch) -> Iterator[StepContext]:
    """A step that runs in that branch, and is the calling code."""
    made = StepContext(branch, "charge")
    token = CURRENT.set(made)
    yield made
    CURRENT.reset(token)


def called_in(current: Branch | StepContext | None) -> Branch | None:
    def call() -> Branch | None:
        CURRENT.set(current)
        return branch_here("charge")

    return contextvars.copy_context().run(call)


def test_outside_of_runs_and_in_a_step_a_call_is_a_plain_one(branch: Branch) -> None:
    assert called_in(None) is None
    assert called_in(StepContext(branch, "mail")) is None


def test_in_a_branch_it_is_one_of_the_run(branch: Branch) -> None:
    assert called_in(branch) is branch


def test_what_a_step_left_behind_calls_no_steps(branch: Branch) -> None:
    over = StepContext(branch, "mail#2")
    over.active = False
    with pytest.raises(StepCallError, match=r"'charge' was called by something that step 'mail#2' left behind"):
        called_in(over)


def test_another_thread_than_the_branchs_own_calls_no_steps(branch: Branch) -> None:
    said: list[str] = []

    def call() -> None:
        try:
            called_in(branch)
        except StepCallError as error:
            said.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(said) == 1
    assert "from a thread, task or event loop that Perdure did not start" in said[0]


def test_neither_does_a_loop_within_a_sync_workflow(branch: Branch) -> None:
    async def call() -> None:
        called_in(branch)

    with pytest.raises(StepCallError, match="event loop that Perdure did not start"):
        asyncio.run(call())


def test_neither_does_a_forked_process(branch: Branch) -> None:
    branch.attempt.forked = True
    with pytest.raises(StepCallError, match="'charge' was called in a forked process"):
        called_in(branch)


def test_the_context_tells_the_step_its_run(step: StepContext) -> None:
    context = step_context()
    assert context is step
    assert (context.id, context.attempt, context.step_key) == ("order-7", 3, "charge")
    assert context.run_id == step.branch.attempt.run_id


def test_the_idempotency_key_is_the_same_in_every_attempt_and_of_one_step_alone() -> None:
    keys = [StepContext(Branch(first_attempt(number=n)), "charge").idempotency_key for n in (1, 2)]
    assert len(keys[0]) == 36
    assert keys[0] == keys[1]
    assert StepContext(Branch(first_attempt()), "charge#2").idempotency_key != keys[0]


def test_a_step_learns_that_its_attempt_ends(step: StepContext) -> None:
    assert not step.cancel_requested
    step.branch.attempt.interrupt(Released("moved"))
    assert step.cancel_requested


@pytest.mark.usefixtures("step")
def test_a_step_that_is_no_database_step_has_no_connection() -> None:
    with pytest.raises(UsageError, match=r"'charge' has no connection: mark it @step\(database=True\)"):
        _ = step_context().connection


def test_a_connection_is_lent_for_one_try(step: StepContext) -> None:
    """What an earlier try left behind has that try's copy, and must not write in the transaction of this one."""
    step.tries = 2
    lent = step.lent("a connection")
    assert (lent.connection, lent.tries, lent.step_key) == ("a connection", 2, "charge")
    with pytest.raises(UsageError):
        _ = step.connection
    lent.active = False
    assert step.active


def test_only_a_running_step_has_a_context(branch: Branch, step: StepContext) -> None:
    step.active = False
    with pytest.raises(UsageError, match="here none is running"):
        step_context()
    for current in (None, branch):
        token = CURRENT.set(current)
        try:
            with pytest.raises(UsageError, match="here none is running"):
                step_context()
        finally:
            CURRENT.reset(token)
