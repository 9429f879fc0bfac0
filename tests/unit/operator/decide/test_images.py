"""Which image an attempt runs is noted once, and a tag that moved between attempts is told for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.store.runs.model import RunState
from perdure_operator.decide.actions import NoteImage, PostEvent, WriteStatus
from perdure_operator.decide.observed import Ended
from tests.unit.operator.decide.builders import (
    ago,
    begun,
    claimed,
    decide,
    ended_attempt,
    new_status,
    observed,
    over,
    pod,
    run,
    spec,
    started,
    story,
    token,
    told,
    workflow,
)
from tests.unit.operator.decide.kstatus import kstatus

ONE, TWO = "perdure.test/bank@sha256:1111", "perdure.test/bank@sha256:2222"
OURS = workflow(status=started(attempts=1), spec=spec(image="perdure.test/bank:1.4"))


def crashed(image: str | None = ONE) -> Ended:
    return replace(ended_attempt(1), image=image)


def noted(seen: Any) -> list[NoteImage]:
    return [action for action in decide(seen) if isinstance(action, NoteImage)]


def warning(seen: Any) -> Any:
    status = new_status(seen) or seen.workflow.status
    return status.conditions.get("ImageChanged")


def second(image: str | None = None, **changes: Any) -> Any:
    """The second attempt runs `image`, for all that its pod says; the first ran ONE."""
    parts = {"last": crashed(), "first_image": (1, ONE)} | changes
    return observed(begun(2, **parts), [pod(2, image_id=image)], workflow=OURS)


# Noting.


def test_the_image_of_an_attempt_that_runs_is_noted_once():
    seen = observed(begun(), [pod(image_id=ONE)])
    assert noted(seen) == [NoteImage(token(1), ONE)]
    assert noted(replace(seen, run=begun(image=ONE))) == []
    assert noted(replace(seen, pods=[pod()])) == []


def test_it_is_not_noted_before_the_attempt_begins_whose_process_writes_the_same_row():
    assert noted(observed(claimed(), [pod(image_id=ONE)])) == []


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.SUCCEEDED])
def test_the_image_of_an_attempt_that_ended_before_its_kubelet_told_is_noted(state: RunState):
    finished = ago(1) if state.ended else None
    seen = told(
        observed(run(state, 1, last=crashed(None), delay=60.0, due_in=50.0, finished=finished), [over(image_id=ONE)])
    )
    assert noted(seen) == [NoteImage(token(1), ONE)]
    assert seen.run is not None
    assert noted(replace(seen, run=replace(seen.run, last=crashed()))) == []


# Warning.


def test_a_tag_that_moved_between_attempts_is_a_warning_and_no_failure():
    seen = second(TWO)
    condition = warning(seen)
    assert (condition.status, condition.reason) == ("True", "TagMoved")
    assert "attempt 2 runs sha256:2222, and attempt 1 ran sha256:1111" in condition.message
    assert "perdure.test/bank:1.4" in condition.message
    [event] = [one for one in decide(seen) if isinstance(one, PostEvent) and one.reason == "ImageChanged"]
    assert event.warning
    assert event.message == condition.message
    assert kstatus(told(seen).workflow) == kstatus(told(second(ONE)).workflow) == "InProgress"


def test_the_warning_is_the_same_whoever_remembers_the_first_image():
    by_store = warning(second(TWO))
    assert warning(second(image=TWO, last=replace(crashed(), image=None))) == by_store
    by_pod = observed(begun(2, last=crashed(None)), [over(image_id=ONE), pod(2, image_id=TWO)], workflow=OURS)
    assert warning(by_pod) == by_store
    noted_already = observed(begun(2, image=TWO, first_image=(1, ONE)), [], workflow=OURS)
    assert warning(noted_already) == by_store


def test_the_same_image_or_an_unknown_one_is_no_warning():
    assert warning(second(ONE)) is None
    assert warning(second(None)) is None
    assert warning(second(TWO, last=crashed(None), first_image=None)) is None


def test_ids_of_different_kinds_are_not_compared():
    assert warning(second("sha256:3333")) is None


def test_the_operators_own_image_may_be_another_after_an_upgrade():
    assert warning(replace(second(TWO), workflow=workflow(status=started(attempts=1)))) is None


def test_a_warning_is_told_once_and_stays_though_the_tag_moves_back():
    after = told(second(TWO))
    assert "ImageChanged" not in story(after)
    third = replace(
        after, run=begun(3, last=replace(crashed(TWO), attempt=2), first_image=(1, ONE)), pods=[pod(3, image_id=ONE)]
    )
    assert warning(third) == warning(after)
    assert "ImageChanged" not in story(third)


def test_a_warning_comes_with_the_end_of_the_run():
    ended = run(
        RunState.SUCCEEDED, 2, last=Ended(2, AttemptEnd.COMPLETED, None, None, None, ago(1), TWO), first_image=(1, ONE)
    )
    assert warning(observed(ended, [], workflow=OURS)) is not None
    assert story(observed(ended, [], workflow=OURS))[-1] == "ImageChanged"


def test_a_warning_that_is_known_only_after_the_end_is_told_then():
    ended = run(
        RunState.SUCCEEDED, 2, last=Ended(2, AttemptEnd.COMPLETED, None, None, None, ago(1)), first_image=(1, ONE)
    )
    finished = told(observed(ended, [pod(2)], workflow=OURS))
    late = replace(finished, pods=[over(2, 0, image_id=TWO)])
    [status, event, note] = decide(late)[:3]
    assert isinstance(status, WriteStatus)
    assert status.status.conditions["Succeeded"].status == "True"
    assert status.status.conditions["ImageChanged"].status == "True"
    assert isinstance(event, PostEvent)
    assert note == NoteImage(token(2), TWO)
    assert not any(isinstance(action, (WriteStatus, PostEvent)) for action in decide(told(late)))
