"""A process that forks: the child has a copy of the run and of its connection, and uses neither."""

from __future__ import annotations

import json

import pytest

from .conftest import BadAttempts

WAYS = {"sys.exit": 3, "text": 1, "raise": 1, "os._exit": 5, "return": 1}
"""Ways in which a child leaves what it was forked in, and its exit codes."""


@pytest.mark.parametrize(
    "workflow", ["in_step", "in_timed_step", "in_async_step", "in_workflow", "in_async_workflow", "in_thread"]
)
def test_a_child_ends_where_it_would_go_on_with_the_run(attempts: BadAttempts, workflow: str) -> None:
    attempt = attempts.claim(workflow, json.dumps({"hows": list(WAYS)}))
    process = attempts.exec(attempt)

    assert process.wait(20) == 0, str(process)
    assert attempts.store.run(attempt.run)["result"] == ["before", *WAYS.values(), "after"]
    assert "child's last words" in process.errors
    assert "LookupError: in the child" in process.errors
    # The child that just returned was told so, or fell over the next thing that only the run's own process may do.
    assert ("a forked process has come to the end of step" in process.errors) == workflow.endswith("step")
    assert attempts.log() == ["note before", "note after"]
    assert set(attempts.steps(attempt.run).values()) == {1}


@pytest.mark.parametrize(("workflow", "code"), [("in_step", 4), ("in_workflow", 1), ("in_async_workflow", 1)])
def test_a_step_called_in_a_child(attempts: BadAttempts, workflow: str, code: int) -> None:
    """Within a step it is a plain call, as everywhere in a step; in the workflow's own code it is an error."""
    attempt = attempts.claim(workflow, '{"hows": ["call"]}')
    process = attempts.exec(attempt)

    assert process.wait(20) == 0, str(process)
    assert attempts.store.run(attempt.run)["result"] == ["before", code, "after"]
    assert ("note called in the child" in attempts.log()) == (workflow == "in_step")
    assert ("was called in a forked process" in process.errors) == (workflow != "in_step")
    assert len(attempts.steps(attempt.run)) == (3 if workflow == "in_step" else 2)


def test_multiprocessing_in_a_step(attempts: BadAttempts) -> None:
    attempt = attempts.claim("with_processes")
    process = attempts.exec(attempt)

    assert process.wait(30) == 0, str(process)
    squares = [0, 1, 4, 9]
    assert attempts.store.run(attempt.run)["result"] == ["before", squares, "between", squares, [1, 2, 3], "after"]
    assert attempts.log() == ["note before", "note between", "note after"]


def test_a_step_that_is_given_to_a_forked_process_is_refused_there(attempts: BadAttempts) -> None:
    attempt = attempts.claim("calls_a_step_in_a_process")
    process = attempts.exec(attempt)

    assert process.wait(20) == 0, str(process)
    assert attempts.store.run(attempt.run)["result"] == ["before", 1]
    assert "was called in a forked process; steps belong to the process that runs the attempt" in process.errors
    assert attempts.log() == ["note before"]


def test_a_thread_that_is_left_behind_does_not_keep_the_process(attempts: BadAttempts) -> None:
    attempt = attempts.claim("leaves_threads")

    assert attempts.exec(attempt).wait(20) == 0
