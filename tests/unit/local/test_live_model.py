"""What is known of a run's steps, from events and from the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from perdure.local.live_model import RunView, StepState
from perdure.store.runs.model import RecordedStep, StepOutcome

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def recorded(key: str, attempt: int = 1) -> RecordedStep:
    return RecordedStep(key, 1, attempt, 1, timedelta(seconds=2), StepOutcome.RESULT)


def test_a_step_from_its_start_over_a_retry_to_its_end() -> None:
    view = RunView()
    view.apply({"event": "begun", "attempt": 2}, 10)
    view.apply({"event": "started", "key": "a"}, 11)
    assert (view.steps["a"].state, view.steps["a"].attempt, view.steps["a"].since) == (StepState.RUNNING, 2, 11)

    view.apply({"event": "tried", "key": "a", "tries": 1, "error": "E: no", "pause": 3}, 12)
    row = view.steps["a"]
    assert (row.state, row.tries, row.next_try, row.error) == (StepState.RETRYING, 2, 15, "E: no")

    event = {"event": "finished", "key": "a", "outcome": "result", "tries": 2, "seconds": 4.0, "error": None}
    view.apply(event, 15)
    assert (row.state, row.tries, row.seconds, row.next_try, row.error) == (StepState.DONE, 2, 4.0, None, None)


def test_steps_under_way_end_with_their_attempt_and_begin_anew() -> None:
    view = RunView()
    view.apply({"event": "begun", "attempt": 1}, 0)
    view.apply({"event": "started", "key": "a"}, 1)
    view.attempt_ended(3)
    assert (view.steps["a"].state, view.steps["a"].seconds) == (StepState.INTERRUPTED, 2)

    view.apply({"event": "begun", "attempt": 2}, 4)
    view.apply({"event": "started", "key": "a"}, 5)
    assert (view.steps["a"].state, view.steps["a"].attempt) == (StepState.RUNNING, 2)


def test_a_recorded_step_keeps_its_time_when_it_is_replayed() -> None:
    view = RunView()
    view.recorded([recorded("a")], 0)
    view.apply({"event": "begun", "attempt": 2}, 0)
    view.apply({"event": "replayed", "key": "a", "outcome": "result", "attempt": 1}, 1)

    row = view.steps["a"]
    assert (row.state, row.replayed, row.seconds, row.attempt) == (StepState.DONE, True, 2.0, 1)


def test_what_it_does_not_know_changes_nothing() -> None:
    view = RunView()
    view.apply({"event": "of the future"}, 0)
    view.apply({}, 0)

    assert view.steps == {}
